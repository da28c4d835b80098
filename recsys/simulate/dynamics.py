"""User dynamics: how slates and clicks move a user's interests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from recsys.ranges import at_least, is_seed, within


@runtime_checkable
class Dynamics(Protocol):
    """A user's hidden state `h`, what it makes the user like, and how slates move it."""

    def position(self, hidden: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Return `z`, which items are compared with."""
        ...

    def move(
        self,
        hidden: Float[Tensor, "B D"],
        vectors: Float[Tensor, "B S D"],
        shown: Bool[Tensor, "B S"],
        clicks: Bool[Tensor, "B S"],
    ) -> Float[Tensor, "B D"]:
        """Return `h` after a slate.

        Args:
            hidden: `h` before it.
            vectors: of the slate's items; those of empty slots do not count.
            shown: true where a slot shows an item.
            clicks: true where it was clicked.
        """
        ...


def mean_of_slots(vectors: Float[Tensor, "B S D"], slots: Bool[Tensor, "B S"]) -> Float[Tensor, "B D"]:
    """Return the mean vector of the named slots, 0 where none is named.

    >>> mean_of_slots(torch.tensor([[[2.0], [4.0], [9.0]]]), torch.tensor([[True, True, False]]))
    tensor([[3.]])
    """
    weight = slots.to(vectors.dtype)
    return torch.einsum("bs,bsd->bd", weight, vectors) / weight.sum(1, keepdim=True).clamp(min=1)


@dataclass(frozen=True)
class GammaLinear(Dynamics):
    """`z ← γ z + (1 − γ) v` on a click of `v` (their mean where there are several); no click leaves `z` as it is.

    `γ = 1` is a user who never changes, `γ = 0` one who likes what was clicked last. Source: the linear user model of
    Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson sampling".

    Args:
        gamma: `γ`, in [0, 1].
    """

    gamma: float = 0.8

    def __post_init__(self) -> None:
        within(0, 1, gamma=self.gamma)

    @override
    def position(self, hidden: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Return the state itself."""
        return hidden

    @override
    def move(
        self,
        hidden: Float[Tensor, "B D"],
        vectors: Float[Tensor, "B S D"],
        shown: Bool[Tensor, "B S"],
        clicks: Bool[Tensor, "B S"],
    ) -> Float[Tensor, "B D"]:
        moved = torch.lerp(mean_of_slots(vectors, clicks), hidden, self.gamma)
        return torch.where(clicks.any(1, keepdim=True), moved, hidden)


class Recurrent(Dynamics):
    """A GRU cell without bias takes what was clicked; `z = W h`. No click leaves `h` as it is.

    Source: the recurrent user model of Eide, Leslie, Frigessi 2022.

    Args:
        width: `D`, of `h`, `z` and the items.
        scale: standard deviation of the cell's weights, times `1/√D`; `W` is a random rotation.
        seed: of the weights.
    """

    def __init__(self, width: int, scale: float = 1.0, seed: int = 0) -> None:
        is_seed(seed=seed)
        at_least(1, width=width)
        at_least(0, scale=scale)
        generator = torch.Generator().manual_seed(seed)
        self.cell = torch.nn.GRUCell(width, width, bias=False).requires_grad_(False)
        for weight in (self.cell.weight_ih, self.cell.weight_hh):
            weight.normal_(0, scale / width**0.5, generator=generator)
        self.readout = torch.linalg.qr(torch.randn(width, width, generator=generator)).Q

    @override
    def position(self, hidden: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Return `W h`."""
        return hidden @ self.readout.to(hidden.device).T

    @override
    def move(
        self,
        hidden: Float[Tensor, "B D"],
        vectors: Float[Tensor, "B S D"],
        shown: Bool[Tensor, "B S"],
        clicks: Bool[Tensor, "B S"],
    ) -> Float[Tensor, "B D"]:
        moved = self.cell.to(hidden.device)(mean_of_slots(vectors, clicks), hidden)
        return torch.where(clicks.any(1, keepdim=True), moved, hidden)


@dataclass(frozen=True)
class Reinforcing(Dynamics):
    """`z ← z + gain · v_clicked − loss · v_skipped`: clicks feed what caused them, so that interests run to extremes.

    Both are means over the slate. Under inner products a click alone raises the interest in what was clicked, a skip
    lowers it. Source: after Jiang et al. 2019, "Degenerate feedback loops in recommender systems".

    Args:
        gain: share of the clicked vector that is added.
        loss: share of the skipped vectors that is taken away.
    """

    gain: float = 0.1
    loss: float = 0.02

    def __post_init__(self) -> None:
        at_least(0, gain=self.gain, loss=self.loss)

    @override
    def position(self, hidden: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        """Return the state itself."""
        return hidden

    @override
    def move(
        self,
        hidden: Float[Tensor, "B D"],
        vectors: Float[Tensor, "B S D"],
        shown: Bool[Tensor, "B S"],
        clicks: Bool[Tensor, "B S"],
    ) -> Float[Tensor, "B D"]:
        return hidden + self.gain * mean_of_slots(vectors, clicks) - self.loss * mean_of_slots(vectors, shown & ~clicks)
