"""What turns item vectors into codes: the contract of every quantizer."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Quantizer(Protocol):
    """Codes of `L` levels for vectors of width `D`; the laws below are held by `tests/contracts`.

    - a vector's codes depend on nothing but the vector (not on its batch);
    - the mean squared error of the fitted vectors never grows with a level;
    - equal generators give equal codes;
    - a state dict loaded into a fresh quantizer of the same options gives the same codes.

    Attributes:
        levels: `L`.
        codes_per_level: how many codes each level has.
    """

    @property
    def levels(self) -> int:
        """`L`."""
        ...

    @property
    def codes_per_level(self) -> tuple[int, ...]:
        """How many codes each level has."""
        ...

    def fit(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Quantizer:
        """Learn the codebooks from `N` vectors."""
        ...

    def fit_encode(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Int[Tensor, "N L"]:
        """Learn the codebooks and return the codes the fitted vectors got.

        They are what `encode` returns, except among equal vectors, which a balanced quantizer deals out over several
        codes and `encode` cannot tell apart.
        """
        ...

    def encode(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        """The codes of any vectors, fitted or new."""
        ...

    def decode(self, codes: Int[Tensor, "N l"]) -> Float[Tensor, "N D"]:
        """The vectors that codes stand for; the first `l ≤ L` levels alone give a coarser answer."""
        ...
