"""What is believed of the items' vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class ItemPosterior(nn.Module, ABC):
    """A distribution over the vectors of `N` items beside their prior."""

    num_items: int
    """`N`."""
    width: int
    """`D`."""

    @abstractmethod
    def draw(self, items: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        """One draw of all vectors a row, with gradient: in a row an item has one vector, and a group one centre.

        Args:
            items: −1 where there is none; its vector is 0.
            generator: on the device of the parameters.
        """

    @abstractmethod
    def moments(self, items: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        """Mean and variance of each number of the named items' vectors, exact."""

    @abstractmethod
    def draw_shared(self, draws: int, generator: torch.Generator) -> Float[Tensor, "R G 2 D"]:
        """What items share, drawn `R = draws` times: each group's centre and scale; `G = 0` where they share nothing.

        Args:
            draws: how many.
            generator: on the device of the parameters.
        """

    @abstractmethod
    def moments_given(
        self, shared: Float[Tensor, "R G 2 D"], items: Int[Tensor, "R K"]
    ) -> tuple[Float[Tensor, "R K D"], Float[Tensor, "R K D"]]:
        """Mean and variance where what items share is known, row by row; all numbers are then independent normals."""

    @abstractmethod
    def kl(self, items: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
        """Nats from the prior of what is each named item's own."""

    @abstractmethod
    def shared_kl(self) -> Float[Tensor, ""]:
        """Nats from the prior of what items share; 0 where they share nothing."""

    @abstractmethod
    def forget(self, items: Int[Tensor, " E"]) -> None:
        """Back to the prior, which is the posterior of an item that no slate shows."""
