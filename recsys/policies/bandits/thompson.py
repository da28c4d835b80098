"""Thompson sampling of slates: one draw for the whole slate, or a draw a slot."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.decode.legal import require_legal
from recsys.policies.scorer import Posterior, update
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.transition import Transition


class _OfPosterior(nn.Module):
    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.posterior = posterior

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """See `OnlineLearner.update`."""
        update(self.posterior, transition, generator)


class InSlateThompson(_OfPosterior):
    """Each slot is the best item that is left under a draw of its own, so that uncertain items share the slate.

    Draws come from the posterior's pool, evenly. A slot's probability is therefore exactly the share of the pool under
    which the item is the best of what is left, given the slots before it: propensities are counted, not estimated. As
    the pool grows this is Thompson sampling with fresh draws; without uncertainty it is greedy. Needs memory for
    `B × pool × (N + G S²)` numbers. Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated
    recurrent units and Thompson sampling" (DMKD 36).

    Args:
        posterior: of the scores; learns if it can.
    """

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`."""
        ranking = rankings(self.posterior, context, slots)
        size = (len(context), candidates, slots)
        which = torch.randint(self.posterior.pool, size, generator=generator, device=ranking.device)
        items = which.new_empty(len(context), candidates, 0)
        shares = []
        for slot in range(slots):
            best = best_left(ranking, items)
            chosen = best.gather(2, which[..., slot : slot + 1])
            shares.append((best == chosen).float().mean(2))
            items = torch.cat([items, chosen], 2)
        return Slates(items, _log(torch.stack(shares, 2), items), SamplingMethod.SAMPLE)

    def draw(self, context: Context, slots: int, generator: torch.Generator) -> Int[Tensor, "B S"]:
        """One slate a request without its probability, which takes most of `sample`: needs `B × S × N` numbers.

        −1 in the slots for which no legal item is left.
        """
        device = context.users.device
        which = torch.randint(self.posterior.pool, (len(context), slots), generator=generator, device=device)
        scores = self.posterior.sampled_scores(context, which).numpy(force=True)
        if context.restricts:
            scores.swapaxes(1, 2)[context.illegal(self.posterior.num_items).numpy(force=True)] = -np.inf
        items = torch.from_numpy(fill(scores)).to(device)
        require_legal(items[:, 0] < 0)
        return items

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`."""
        items = slates.items
        ranking = rankings(self.posterior, context, items.shape[2])
        shares = [
            (best_left(ranking, items[..., :slot]) == items[..., slot : slot + 1]).float().mean(2)
            for slot in range(items.shape[2])
        ]
        return _log(torch.stack(shares, 2), items)


class SlateThompson(_OfPosterior):
    """The best items under one draw, best first: slates differ between users and rounds, not within.

    The draw comes from the posterior's pool, evenly; a slate's probability is exactly the share of the pool that ranks
    so. Needs memory for `B × pool × N` numbers. Source: Eide, Leslie, Frigessi 2022.

    Args:
        posterior: of the scores; learns if it can.
    """

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        """See `Policy.sample`."""
        ranking = rankings(self.posterior, context, slots)
        size = (len(context), candidates, 1)
        which = torch.randint(self.posterior.pool, size, generator=generator, device=ranking.device)
        items = ranking.gather(1, which.expand(-1, -1, slots))
        return Slates(items, _log(_alike(ranking, items), items), SamplingMethod.SAMPLE)

    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        """See `Policy.log_prob`."""
        ranking = rankings(self.posterior, context, slates.items.shape[-1])
        return _log(_alike(ranking, slates.items), slates.items)


def fill(scores: np.ndarray) -> np.ndarray:
    """`[B, S]`, slot after slot the item that scores best there and no earlier slot holds; −1 where none is left.

    In numpy, which finds a row's best several times faster than torch does on a CPU.

    Args:
        scores: `[B, S, N]`, −inf at items that may not be shown; overwritten.

    >>> fill(np.array([[[1.0, 3.0, 2.0], [5.0, 9.0, 7.0]]]))
    array([[1, 2]])
    """
    users, slots, num_items = scores.shape
    flat = np.ascontiguousarray(scores).reshape(-1)
    scores = flat.reshape(scores.shape)
    starts = num_items * np.arange(users * slots).reshape(users, slots)
    items = np.empty((users, slots), np.int64)
    for slot in range(slots):
        flat[starts[:, slot, None] + items[:, :slot]] = -np.inf
        items[:, slot] = scores[:, slot].argmax(1)
    items[np.isneginf(flat[starts + items])] = -1
    return items


def rankings(posterior: Posterior, context: Context, slots: int) -> Int[Tensor, "B pool S"]:
    """The best legal items under every draw of the pool, best first; −1 where nothing legal is left.

    Raises:
        EmptyLegalSetError: a request allows no item.
    """
    illegal = context.illegal(posterior.num_items)
    require_legal(illegal.all(-1))
    every = torch.arange(posterior.pool, device=illegal.device).expand(len(context), -1)
    scores = posterior.sampled_scores(context, every).masked_fill(illegal.unsqueeze(1), float("-inf"))
    best, items = scores.topk(min(slots, scores.shape[-1]), dim=-1)
    return nn.functional.pad(items.masked_fill(best.isneginf(), -1), (0, slots - items.shape[-1]), value=-1)


def best_left(ranking: Int[Tensor, "B pool S"], taken: Int[Tensor, "B G s"]) -> Int[Tensor, "B G pool"]:
    """The best item of every draw that no earlier slot took; a ranking as long as the slate always holds it.

    >>> best_left(torch.tensor([[[4, 7], [7, 4]]]), torch.tensor([[[4]]]))
    tensor([[[7, 7]]])
    """
    ranked = ranking.unsqueeze(1)
    free = (ranked.unsqueeze(-1) != taken[:, :, None, None]).all(-1)
    first = free.long().argmax(-1, keepdim=True)
    item = ranked.expand(free.shape).gather(-1, first)
    return item.where(free.gather(-1, first), -1).squeeze(-1)


def _alike(ranking: Int[Tensor, "B pool S"], items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
    """Share of draws that begin like the slate up to a slot, among those that do up to the slot before."""
    same = ranking.unsqueeze(1) == items.unsqueeze(2)
    alike = same.cumprod(-1).sum(2).float()
    before = torch.cat([alike.new_full((*alike.shape[:2], 1), ranking.shape[1]), alike[..., :-1]], -1)
    return alike / before.clamp(min=1)


def _log(shares: Float[Tensor, "B G S"], items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
    """Log of the slots' probabilities; −inf from the first slot on that holds nothing or cannot be so."""
    impossible = ((shares <= 0) | (items < 0)).cummax(-1).values
    return shares.log().masked_fill(impossible, float("-inf"))
