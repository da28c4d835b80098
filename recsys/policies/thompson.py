"""Thompson sampling of slates: one draw for the whole slate, or a draw a slot."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.data.context import Context
from recsys.data.feedback import Feedback
from recsys.data.slates import Drawn, Slates
from recsys.decode.legal import require_legal
from recsys.policies.scorer import Posterior
from recsys.policies.slot_by_slot import SlotBySlot


class InSlateThompson(SlotBySlot[Tensor]):
    """Each slot is the best item that is left under a draw of its own, so that uncertain items share the slate.

    Draws come from the posterior's pool, evenly. A slot's probability is therefore exactly the share of the pool under
    which the item is the best of what is left, given the slots before it: propensities are counted, not estimated. As
    the pool grows this is Thompson sampling with fresh draws; without uncertainty it is greedy. Needs memory for
    `B × G × pool × N` numbers. Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent
    units and Thompson sampling" (DMKD 36).

    Args:
        posterior: of the scores.
    """

    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.posterior = posterior

    @property
    def num_items(self) -> int:
        """`N`."""
        return self.posterior.num_items

    def look(self, context: Context) -> Tensor:
        """`[B, pool, N]`, every item's score under every draw."""
        return _under_every_draw(self.posterior, context)

    def slot_prob(self, view: Tensor, left: Bool[Tensor, "B G N"]) -> Float[Tensor, "B G N"]:
        """See `SlotBySlot.slot_prob`."""
        best = view.unsqueeze(1).masked_fill(~left.unsqueeze(2), float("-inf")).argmax(-1)
        share = torch.full(best.shape, 1 / self.posterior.pool, device=view.device)
        return torch.zeros(left.shape, device=view.device).scatter_add(-1, best, share)

    def update(self, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
        """See `Learner.update`."""
        self.posterior.update(context, slates, feedback, generator)


class SlateThompson(nn.Module):
    """The best items under one draw, best first: slates differ between users and rounds, not within.

    The draw comes from the posterior's pool, evenly; a slate's probability is exactly the share of the pool that ranks
    so. Needs memory for `B × pool × N` numbers. Source: Eide, Leslie, Frigessi 2022.

    Args:
        posterior: of the scores.
    """

    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.posterior = posterior

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`."""
        ranking = self._rankings(context, slots)
        size = (len(context), candidates, 1)
        which = torch.randint(self.posterior.pool, size, generator=generator, device=ranking.device)
        items = ranking.gather(1, which.expand(-1, -1, slots))
        return Slates(items, _shares(ranking, items), Drawn.SAMPLE)

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`."""
        return _shares(self._rankings(context, slates.items.shape[-1]), slates.items)

    def update(self, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
        """See `Learner.update`."""
        self.posterior.update(context, slates, feedback, generator)

    def _rankings(self, context: Context, slots: int) -> Int[Tensor, "B pool S"]:
        """The slate of every draw; −1 where nothing legal is left."""
        illegal = context.illegal(self.posterior.num_items)
        require_legal(illegal.all(-1))
        scores = _under_every_draw(self.posterior, context).masked_fill(illegal.unsqueeze(1), float("-inf"))
        best, items = scores.topk(min(slots, scores.shape[-1]), dim=-1)
        return nn.functional.pad(items.masked_fill(best.isneginf(), -1), (0, slots - items.shape[-1]), value=-1)


def _under_every_draw(posterior: Posterior, context: Context) -> Float[Tensor, "B pool N"]:
    every = torch.arange(posterior.pool, device=context.users.device)
    return posterior.drawn(context, every.expand(len(context), -1))


def _shares(ranking: Int[Tensor, "B pool S"], items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
    """Log of the share of draws that begin like the slate up to a slot, among those that do up to the slot before."""
    same = ranking.unsqueeze(1) == items.unsqueeze(2)
    alike = same.cumprod(-1).sum(2).float()
    before = torch.cat([alike.new_full((*alike.shape[:2], 1), ranking.shape[1]), alike[..., :-1]], -1)
    return torch.where((alike > 0) & (items >= 0), (alike / before).log(), float("-inf"))
