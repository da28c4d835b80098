"""Policies that fill a slate from the top, each slot by a distribution over what is left."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from recsys.data.context import Context
from recsys.data.slates import Drawn, Slates
from recsys.decode.legal import require_legal

View = TypeVar("View")


class SlotBySlot(nn.Module, ABC, Generic[View]):
    """A policy whose slots follow one another: what a request looks like is worked out once, then slot after slot.

    Unlike an `ItemPolicy`'s, a slot's distribution need not be the first one's renormalised. Sampling and scoring need
    memory for `B × G × N` numbers, and what the subclass says.
    """

    @abstractmethod
    def look(self, context: Context) -> View:
        """What every slot's distribution is made from."""

    @abstractmethod
    def slot_prob(self, view: View, left: Bool[Tensor, "B G N"]) -> Float[Tensor, "B G N"]:
        """Probability of each item for the next slot of each slate.

        Args:
            view: of `look`.
            left: true at the legal items that no earlier slot took. Rows where nothing is left may hold anything.
        """

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`; where fewer than `S` items are legal, the last slots hold −1, log-probability −inf."""
        view, left = self.look(context), self._legal(context, candidates)
        items, log_prob = [], []
        for _ in range(slots):
            prob = self.slot_prob(view, left)
            alive = left.any(-1)
            chosen = _draw(prob.where(left, 0), generator)
            items.append(chosen.where(alive, -1))
            log_prob.append(_at(prob, chosen).log().where(alive, float("-inf")))
            left = left.scatter(-1, chosen.unsqueeze(-1), False)
        return Slates(torch.stack(items, -1), torch.stack(log_prob, -1), Drawn.SAMPLE)

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`; −inf from the first slot on that cannot be so."""
        view, left = self.look(context), self._legal(context, slates.items.shape[1])
        possible = torch.ones(slates.items.shape[:2], dtype=torch.bool, device=slates.items.device)
        found = []
        for chosen in slates.items.unbind(-1):
            known = chosen.clamp(min=0)
            prob = _at(self.slot_prob(view, left), known)
            possible = possible & (chosen >= 0) & _at(left, known) & (prob > 0)
            found.append(prob.log().where(possible, float("-inf")))
            left = left.scatter(-1, known.unsqueeze(-1), False)
        return torch.stack(found, -1)

    def _legal(self, context: Context, candidates: int) -> Bool[Tensor, "B G N"]:
        legal = ~context.illegal(self.num_items)
        require_legal(~legal.any(-1))
        return legal.unsqueeze(1).expand(-1, candidates, -1)

    @property
    @abstractmethod
    def num_items(self) -> int:
        """`N`."""


def _draw(prob: Tensor, generator: torch.Generator) -> Tensor:
    """One index a row by its share of the row's sum; 0 where the row has none."""
    noise = torch.empty_like(prob).exponential_(generator=generator)
    return (prob / noise).argmax(-1)


def _at(values: Tensor, items: Tensor) -> Tensor:
    return values.gather(-1, items.unsqueeze(-1)).squeeze(-1)
