"""A distribution over slates as a list of them: all there are with their probabilities, or draws."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.replay.slates.law import Abstraction


@dataclass(frozen=True)
class ListedSlates:
    """Every slate that a policy may answer with, or `M` independent draws.

    Exact where every slate is listed; from draws unbiased, with the standard error `error`. Time and memory grow with
    `n M S²`: give rows in batches.

    Args:
        items: `[b, M, S]`, −1 in empty slots; `b` is the number of requests, or 1 where all have the same slates.
        probability: `[b, M]`, sums to 1 a row; `1 / M` of draws.
        drawn: whether they are draws.

    >>> slates = ListedSlates(torch.tensor([[[0, 1], [1, 0], [2, 0]]]), torch.tensor([[0.5, 0.25, 0.25]]))
    >>> slates.at(torch.tensor([[1, 0]]))  # item 1 is first or second, then item 0 is
    tensor([[[0.2500, 0.5000],
             [0.5000, 0.5000]]], dtype=torch.float64)
    """

    items: Int[Tensor, "b M S"]
    probability: Float[Tensor, "b M"]
    drawn: bool = False

    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        """See `SlateLaw`."""
        held = (items.unsqueeze(-1).unsqueeze(-1) == self.items.transpose(1, 2).unsqueeze(1)).double()
        probability = torch.einsum("nklm,nm->nkl", held, self.probability.double().expand(len(items), -1))
        empty = items < 0
        return probability.masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)

    def agreeing(self, items: Int[Tensor, "n S"], slots: Bool[Tensor, "n K S"]) -> Float[Tensor, "n K"]:
        """See `SlateLaw`."""
        other = (self.items != items.unsqueeze(1)) & (items >= 0).unsqueeze(1)
        agree = torch.einsum("nms,nks->nkm", other.double(), slots.double()) == 0
        return torch.einsum("nkm,nm->nk", agree.double(), self.probability.double().expand(len(items), -1))

    def abstract(self, items: Int[Tensor, "n S"], abstraction: Abstraction) -> Float[Tensor, " n"]:
        """See `SlateLaw`; slates are listed with the empty slots that they have."""
        agree = abstraction(self.items) == abstraction(items).unsqueeze(1)
        agree = agree.flatten(2).all(-1) if agree.dim() > 2 else agree
        return torch.linalg.vecdot(agree.double(), self.probability.double().expand(len(items), -1))

    def error(self, probability: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Standard error of a probability that this list gave: `√(p (1 − p) / M)` of draws, else 0.

        >>> draws = ListedSlates(torch.zeros(1, 100, 1, dtype=torch.int64), torch.full((1, 100), 0.01), drawn=True)
        >>> draws.error(torch.tensor(0.5))
        tensor(0.0500)
        """
        if not self.drawn:
            return torch.zeros_like(probability)
        return (probability * (1 - probability)).clamp(min=0).div(self.items.shape[1]).sqrt()

    def pairs(self, num_items: int) -> Int[Tensor, "b M S"]:
        """The slates as numbers `slot · N + item` of (slot, item) pairs; `S · N` in empty slots."""
        return slot_item_pairs(self.items, num_items)

    def marginals(self, num_items: int) -> Float[Tensor, "b D"]:
        """`E[1_s]`: the probability of each of the `D = S · N` (slot, item) pairs."""
        pairs = self.pairs(num_items)
        size = pairs.shape[-1] * num_items + 1
        mass = self.probability.double().unsqueeze(-1).expand(pairs.shape).flatten(1)
        return mass.new_zeros(len(pairs), size).scatter_add_(1, pairs.flatten(1), mass)[:, :-1]

    def joint(self, num_items: int) -> Float[Tensor, "b D D"]:
        """`Γ = E[1_s 1_sᵀ]`: the probability of each two (slot, item) pairs together."""
        pairs = self.pairs(num_items)
        rows, _, slots = pairs.shape
        size = slots * num_items + 1
        both = (pairs.unsqueeze(-1) * size + pairs.unsqueeze(-2)).flatten(1)
        mass = self.probability.double()[..., None, None].expand(*pairs.shape, slots).flatten(1)
        return mass.new_zeros(rows, size * size).scatter_add_(1, both, mass).view(rows, size, size)[:, :-1, :-1]


def slot_item_pairs(items: Int[Tensor, "*shape S"], num_items: int) -> Int[Tensor, "*shape S"]:
    """Slates as numbers `slot · N + item` of (slot, item) pairs; `S · N` in empty slots.

    >>> slot_item_pairs(torch.tensor([[2, 0, -1]]), num_items=3)
    tensor([[2, 3, 9]])
    """
    slots = items.shape[-1]
    start = torch.arange(slots, device=items.device) * num_items
    return torch.where(items < 0, slots * num_items, items + start)
