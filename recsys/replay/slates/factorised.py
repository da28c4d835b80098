"""Policies that draw each slot on its own, whatever the others hold: one table of probabilities a request."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.replay.slates.law import Abstraction
from recsys.replay.slates.listed import ListedSlates
from recsys.replay.slates.rounds import Side, SlateRounds


@dataclass(frozen=True)
class Factorised:
    """`π(s | x) = Π_k π_k(s_k | x)`; an item may stand at several slots.

    Args:
        table: `[b, S, N]`, `π_k(a | x)`, sums to 1 over items; `b` is the number of requests, or 1 where all have the
            same table.

    >>> law = Factorised(torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]))
    >>> law.slot(torch.tensor([[0, 1]]))
    tensor([[0.5000, 0.7500]], dtype=torch.float64)
    """

    table: Float[Tensor, "b S N"]

    def slot(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S"]:
        """Probability of each item at its slot; 1 in empty slots."""
        return torch.diagonal(self.at(items), dim1=-2, dim2=-1)

    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        """See `SlateLaw`."""
        rows, slots = items.shape
        table = self.table.double().expand(rows, -1, -1)
        index = items.clamp(min=0).unsqueeze(1).expand(-1, slots, -1)
        empty = items < 0
        return table.gather(2, index).transpose(1, 2).masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)

    def agreeing(self, items: Int[Tensor, "n S"], slots: Bool[Tensor, "n K S"]) -> Float[Tensor, "n K"]:
        """See `SlateLaw`."""
        return torch.where(slots, self.slot(items).unsqueeze(1), 1.0).prod(-1)

    def abstract(self, items: Int[Tensor, "n S"], abstraction: Abstraction) -> Float[Tensor, " n"]:
        """See `SlateLaw`; lists every slate, `N^S`: for a label an item take `abstract_items`."""
        return self.listed().abstract(items, abstraction)

    def abstract_items(self, items: Int[Tensor, "n S"], label: Int[Tensor, " N"]) -> Float[Tensor, " n"]:
        """Probability of a slate whose items have the same labels slot by slot; empty slots do not count.

        Args:
            items: the logged slates.
            label: of each item, from 0.
        """
        table = self.table.double()
        mass = table.new_zeros(*table.shape[:2], 1 + int(label.max())).index_add_(2, label, table)
        return Factorised(mass).slot(torch.where(items < 0, -1, label[items])).prod(-1)

    def listed(self) -> ListedSlates:
        """Every slate, `N^S` of them, with its probability."""
        rows, slots, num_items = self.table.shape
        every = torch.cartesian_prod(*[torch.arange(num_items)] * slots).view(-1, slots).to(self.table.device)
        probability = self.table.double()[:, torch.arange(slots), every].prod(-1)
        return ListedSlates(every.expand(rows, -1, -1), probability)

    def onto(self, rounds: SlateRounds, side: Side) -> SlateRounds:
        """The rounds with all that one side's table says of slates, prefixes and slots."""
        at = self.at(rounds.items)
        slot = torch.diagonal(at, dim1=-2, dim2=-1)
        found = {f"{side}_prefix": slot, f"{side}_slot": slot, f"{side}_at": at}
        return replace(rounds, **found)
