"""Two-stage policies: an index retrieves items, and a policy chooses among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.policies.policy import Policy
from recsys.policies.scorer import OnlineLearner, update
from recsys.retrieve.index import Index
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from recsys.types.transition import Transition

RETRIEVED = "retrieved"
"""Name of the feature that holds the retrieved items of a request, `[B, C]`, padded with −1."""


class TwoStagePolicy(nn.Module, Policy, OnlineLearner):
    """A policy over the `C` items that an index retrieves for a request. Other items have probability 0.

    - Inner policy: it sees a catalogue of `C` positions. The feature `RETRIEVED` holds the item at each position;
      positions without an item are excluded; the history still holds catalogue items. The inner policy must score by
      this feature, not by the position: use `TwoStagePosterior`, or `LinearPosterior` with features that read it.
    - Excluded items: they take none of the `C` places. The index is asked for more items, as many as the longest list
      of excluded items of the batch has.
    - Candidates: if a request names candidates, only they are retrieved: first those that the index finds, best first,
      then the others in the given order. Up to `C` candidates are all included.
    - Repeatability: equal requests retrieve the same items, and so have the same probabilities, while index and query
      do not change. An approximate index may find other items if it is asked for more, which depends on the excluded
      items of the batch.

    It takes the memory of the index and of an inner policy with `C` items. Learning reaches retrieved items only.

    Args:
        retrieval_query: function from requests to query vectors `[B, D]`.
        index: index of the catalogue.
        size: number of retrieved items `C`, at most the size of the catalogue. The inner policy has `C` items.
        policy: inner policy; it is updated if it is an `OnlineLearner`.
    """

    def __init__(self, retrieval_query: Callable[[Context], Tensor], index: Index, size: int, policy: Policy) -> None:
        super().__init__()
        self.retrieval_query = retrieval_query
        self.index = index
        self.size = size
        self.policy = policy

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        local = self.requests(context)
        slates = self.policy.sample(local, candidates, slots, generator)
        return replace(slates, items=items_at(local.features[RETRIEVED], slates.items))

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        slates.check(self.index.num_items)
        local = self.requests(context)
        return self.policy.log_prob(local, _localised(local, slates))

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        transition.slates.check(self.index.num_items)
        local = self.requests(transition.context)
        slates = _localised(local, transition.slates)
        after = self.requests(transition.next_context)
        update(self.policy, transition.replace(context=local, slates=slates, next_context=after), generator)

    def requests(self, context: Context) -> Context:
        """Return the requests for the inner policy. `items_at` turns its answers into catalogue items."""
        context.check(self.index.num_items)
        items = self._items(context)
        positions = torch.arange(self.size, device=items.device).expand(len(items), -1)
        missing = items < 0
        return replace(
            context,
            excluded=Jagged.from_lengths(positions[missing], missing.sum(1)),
            candidates=None,
            features={**context.features, RETRIEVED: items},
        )

    @torch.no_grad()
    def _items(self, context: Context) -> Int[Tensor, "B C"]:
        """Return the legal items among those that the index finds, best first."""
        spare = int(context.excluded.lengths.max()) if len(context) else 0
        depth = min(self.size + spare, self.index.num_items)
        _, items = self.index.search(self.retrieval_query(context), depth)
        if context.candidates is not None:
            found = items.where(_listed(items, context.candidates), -1)
            items = torch.cat([found, context.candidates.to_padded(-1)], 1)
            items = items.masked_fill(_repeated(items), -1)
        legal = (items >= 0) & ~_listed(items, context.excluded)
        items = items.where(legal, -1).gather(1, legal.long().argsort(dim=1, descending=True, stable=True))
        return nn.functional.pad(items, (0, max(0, self.size - items.shape[1])), value=-1)[:, : self.size]


def items_at(items: Int[Tensor, "B C"], positions: Int[Tensor, "B *S"]) -> Int[Tensor, "B *S"]:
    """Return the items at the given positions; −1 for position −1.

    >>> items_at(torch.tensor([[7, 5, 9]]), torch.tensor([[2, -1, 0]]))
    tensor([[ 9, -1,  7]])
    """
    found = items.gather(1, positions.clamp(min=0).flatten(1)).view(positions.shape)
    return found.where(positions >= 0, -1)


def positions_of(items: Int[Tensor, "B C"], named: Int[Tensor, "B *S"]) -> Int[Tensor, "B *S"]:
    """Return the positions of the given items; −1 for items that are not among them, and for −1.

    >>> positions_of(torch.tensor([[7, 5, 9]]), torch.tensor([[9, 8, -1]]))
    tensor([[ 2, -1, -1]])
    """
    ordered, order = items.sort(1)
    wanted = named.flatten(1).contiguous()
    place = torch.searchsorted(ordered, wanted).clamp(max=items.shape[1] - 1)
    known = (ordered.gather(1, place) == wanted) & (wanted >= 0)
    return order.gather(1, place).where(known, -1).view(named.shape)


def _localised(local: Context, slates: Slates) -> Slates:
    return replace(slates, items=positions_of(local.features[RETRIEVED], slates.items))


def _listed(items: Int[Tensor, "B W"], rows: Jagged) -> Bool[Tensor, "B W"]:
    """Return whether the row of a list contains the item; False for −1."""
    if not rows.values.numel():
        return torch.zeros_like(items, dtype=torch.bool)
    size = int(torch.maximum(items.max(), rows.values.max())) + 1
    keys = items + size * torch.arange(len(items), device=items.device).unsqueeze(1)
    return torch.isin(keys, rows.values + size * rows.row_ids()) & (items >= 0)


def _repeated(items: Int[Tensor, "B W"]) -> Bool[Tensor, "B W"]:
    """Return whether an earlier entry of the row is the same item."""
    ordered, order = items.sort(dim=1, stable=True)
    repeated = nn.functional.pad(ordered[:, 1:] == ordered[:, :-1], (1, 0))
    return torch.zeros_like(repeated).scatter(1, order, repeated)
