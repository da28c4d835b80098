"""Two-stage policies: an index retrieves candidates, and a policy chooses among them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.policies.policy import Policy
from recsys.policies.scorer import update
from recsys.retrieve.index import Index
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from recsys.types.transition import Transition

RETRIEVED = "retrieved"
"""The feature of a request that holds its items, `[B, C]`; −1 where there is none."""


class TwoStagePolicy(nn.Module):
    """A policy over `C` items that an index finds for each request; every other item has probability 0.

    The inner policy sees a catalogue of `C` positions. Which item stands at a position is in the feature `RETRIEVED`;
    positions without an item are excluded, and the history is of catalogue items as ever. So it must score by that
    feature (`LinearPosterior` over features that read it, `TwoStagePosterior`), not by the number of a position.

    What a request excludes takes no place: the index is asked for as many items more as the batch's longest list of
    excluded ones has. Where a request names candidates, the shortlist is of them: those that the index found, best
    first, then the others in the order named, so that `C` candidates or fewer are all there.

    The same request has the same shortlist, and so the same probabilities, as long as the index and what the query
    knows stay; an approximate index may find others when it is asked for more, which a batch with longer lists of
    excluded items does. Needs memory for what the index and the inner policy need, with `C` for `N`.

    Args:
        retrieval_query: `[B, D]`, what each request is looking for.
        index: of the catalogue.
        size: `C`, at most the catalogue's size; the inner policy is for as many items.
        policy: chooses; learns if it can.
    """

    def __init__(self, retrieval_query: Callable[[Context], Tensor], index: Index, size: int, policy: Policy) -> None:
        super().__init__()
        self.retrieval_query = retrieval_query
        self.index = index
        self.size = size
        self.policy = policy

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`."""
        local = self.requests(context)
        slates = self.policy.sample(local, candidates, slots, generator)
        return replace(slates, items=items_at(local.features[RETRIEVED], slates.items))

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`; −inf from the first slot on whose item is not in the shortlist."""
        local = self.requests(context)
        return self.policy.log_prob(local, _localised(local, slates))

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """See `OnlineLearner.update`; nothing is learnt of items outside the shortlist."""
        local = self.requests(transition.context)
        slates = _localised(local, transition.slates)
        after = self.requests(transition.next_context)
        update(self.policy, transition.replace(context=local, slates=slates, next_context=after), generator)

    def requests(self, context: Context) -> Context:
        """What the inner policy is asked; `items_at` turns its answers into catalogue items."""
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
        """The legal ones of what the index found, best first."""
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
    """The items at some positions; −1 is none.

    >>> items_at(torch.tensor([[7, 5, 9]]), torch.tensor([[2, -1, 0]]))
    tensor([[ 9, -1,  7]])
    """
    found = items.gather(1, positions.clamp(min=0).flatten(1)).view(positions.shape)
    return found.where(positions >= 0, -1)


def positions_of(items: Int[Tensor, "B C"], named: Int[Tensor, "B *S"]) -> Int[Tensor, "B *S"]:
    """Where some items stand; −1 for those that do not, and for −1.

    >>> positions_of(torch.tensor([[7, 5, 9]]), torch.tensor([[9, 8, -1]]))
    tensor([[ 2, -1, -1]])
    """
    rising, order = items.sort(1)
    wanted = named.flatten(1).contiguous()
    place = torch.searchsorted(rising, wanted).clamp(max=items.shape[1] - 1)
    known = (rising.gather(1, place) == wanted) & (wanted >= 0)
    return order.gather(1, place).where(known, -1).view(named.shape)


def _localised(local: Context, slates: Slates) -> Slates:
    return replace(slates, items=positions_of(local.features[RETRIEVED], slates.items))


def _listed(items: Int[Tensor, "B W"], rows: Jagged) -> Bool[Tensor, "B W"]:
    """True where a row of the list names the item; false for −1."""
    if not rows.values.numel():
        return torch.zeros_like(items, dtype=torch.bool)
    size = int(torch.maximum(items.max(), rows.values.max())) + 1
    keys = items + size * torch.arange(len(items), device=items.device).unsqueeze(1)
    return torch.isin(keys, rows.values + size * rows.row_ids()) & (items >= 0)


def _repeated(items: Int[Tensor, "B W"]) -> Bool[Tensor, "B W"]:
    """True where the row has the same item further left."""
    rising, order = items.sort(dim=1, stable=True)
    again = nn.functional.pad(rising[:, 1:] == rising[:, :-1], (1, 0))
    return torch.zeros_like(again).scatter(1, order, again)
