"""Thompson sampling of slates: one posterior sample for the slate, or one for each slot."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.legal import require_legal, require_numbers
from recsys.decode.top_k import tie_keys, top_k
from recsys.policies.policy import Policy
from recsys.policies.scorer import OnlineLearner, Posterior, update
from recsys.types.context import Context
from recsys.types.slates import SamplingMethod, Slates
from recsys.types.transition import Transition


class _ThompsonPolicy(nn.Module, Policy, OnlineLearner):
    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.posterior = posterior

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        update(self.posterior, transition, generator)


class InSlateThompson(_ThompsonPolicy):
    """In-slate Thompson sampling: each slot holds the best remaining item under a posterior sample of its own.

    Samples are drawn uniformly from the pool of the posterior. The probability of a slot is therefore the share of the
    pool under which its item is the best remaining one: propensities are exact. As the pool grows, this becomes
    Thompson sampling with fresh samples. Without uncertainty it is `Greedy`. Of several best items under a sample, the
    user and the items fix which one is taken (`recsys.decode.top_k`). It takes memory for `B × pool × (N + G S²)`
    numbers.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson sampling"
    (DMKD 36).

    Args:
        posterior: posterior of the scores; it is updated if it is an `OnlineLearner`.
    """

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
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
        """Draw one slate for each request without computing its probability, which takes most of the time of `sample`.

        Slots hold −1 if no legal item is left. It takes memory for `B × S × N` numbers.
        """
        device = context.users.device
        which = torch.randint(self.posterior.pool, (len(context), slots), generator=generator, device=device)
        scores = self.posterior.sampled_scores(context, which).numpy(force=True)
        if context.restricts:
            scores.swapaxes(1, 2)[context.illegal(self.posterior.num_items).numpy(force=True)] = -np.inf
        items = torch.from_numpy(fill(scores, context.users.cpu())).to(device)
        require_legal(items[:, 0] < 0)
        return items

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        items = slates.items
        slates.check(self.posterior.num_items)
        ranking = rankings(self.posterior, context, items.shape[2])
        shares = [
            (best_left(ranking, items[..., :slot]) == items[..., slot : slot + 1]).float().mean(2)
            for slot in range(items.shape[2])
        ]
        return _log(torch.stack(shares, 2), items)


class SlateThompson(_ThompsonPolicy):
    """Thompson sampling of slates: the best items under one posterior sample, best first.

    The sample is drawn uniformly from the pool of the posterior. The probability of a slate is exactly the share of the
    pool that ranks its items in this order. It takes memory for `B × pool × N` numbers.

    Source: Eide, Leslie, Frigessi 2022.

    Args:
        posterior: posterior of the scores; it is updated if it is an `OnlineLearner`.
    """

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        ranking = rankings(self.posterior, context, slots)
        size = (len(context), candidates, 1)
        which = torch.randint(self.posterior.pool, size, generator=generator, device=ranking.device)
        items = ranking.gather(1, which.expand(-1, -1, slots))
        return Slates(items, _log(_alike(ranking, items), items), SamplingMethod.SAMPLE)

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        slates.check(self.posterior.num_items)
        ranking = rankings(self.posterior, context, slates.items.shape[-1])
        return _log(_alike(ranking, slates.items), slates.items)


def fill(scores: np.ndarray, users: Int[Tensor, " B"]) -> np.ndarray:
    """Fill the slots in order, each with its best item that no earlier slot holds, `[B, S]`; −1 if none is left.

    It uses numpy, which finds the maximum of a row several times faster than torch on a CPU.

    Args:
        scores: `[B, S, N]`, scores at each slot, −inf for illegal items. The array is overwritten.
        users: `[B]`, with the items, they fix which of several best items is taken (`recsys.decode.top_k`).

    Raises:
        NonFiniteError: a score is NaN.

    >>> fill(np.array([[[1.0, 3.0, 2.0], [5.0, 9.0, 7.0]]]), torch.tensor([7]))
    array([[1, 2]])
    """
    requests, slots, num_items = scores.shape
    flat = np.ascontiguousarray(scores).reshape(-1)
    scores = flat.reshape(scores.shape)
    starts = num_items * np.arange(requests * slots).reshape(requests, slots)
    items = np.empty((requests, slots), np.int64)
    is_best = np.empty((requests, num_items), np.bool_)
    for slot in range(slots):
        flat[starts[:, slot, None] + items[:, :slot]] = -np.inf
        items[:, slot] = scores[:, slot].argmax(1)
        np.equal(scores[:, slot], flat[starts[:, slot] + items[:, slot], None], out=is_best)
        if np.count_nonzero(is_best) > requests:  # some request has several best items
            keys = tie_keys(users.unsqueeze(1), torch.arange(num_items)).numpy()
            tied = is_best.any(1)  # not where the best is NaN
            items[tied, slot] = np.where(is_best, keys, -1).argmax(1)[tied]
    best = flat[starts + items]
    require_numbers(torch.from_numpy(best))  # argmax takes NaN for the largest
    items[np.isneginf(best)] = -1
    return items


def rankings(posterior: Posterior, context: Context, slots: int) -> Int[Tensor, "B pool S"]:
    """Return the best legal items under every sample of the pool, best first, padded with −1.

    Equal scores stand in an order that the user and the items fix (`recsys.decode.top_k`).

    Raises:
        EmptyLegalSetError: the legal set of a request is empty.
        NonFiniteError: a score is NaN.
    """
    illegal = context.illegal(posterior.num_items)
    require_legal(illegal.all(-1))
    every = torch.arange(posterior.pool, device=illegal.device).expand(len(context), -1)
    scores = posterior.sampled_scores(context, every).masked_fill(illegal.unsqueeze(1), float("-inf"))
    rows = context.users.repeat_interleave(posterior.pool)
    found = top_k(scores.flatten(0, 1), min(slots, scores.shape[-1]), rows)
    best, items = (part.view(*every.shape, -1) for part in found)
    require_numbers(best[..., 0])  # it takes NaN for the largest
    return nn.functional.pad(items.masked_fill(best.isneginf(), -1), (0, slots - items.shape[-1]), value=-1)


def best_left(ranking: Int[Tensor, "B pool S"], taken: Int[Tensor, "B G s"]) -> Int[Tensor, "B G pool"]:
    """Return the best item of every sample that no earlier slot holds. Rankings are as long as the slate.

    >>> best_left(torch.tensor([[[4, 7], [7, 4]]]), torch.tensor([[[4]]]))
    tensor([[[7, 7]]])
    """
    ranked = ranking.unsqueeze(1)
    free = (ranked.unsqueeze(-1) != taken[:, :, None, None]).all(-1)
    first = free.long().argmax(-1, keepdim=True)
    item = ranked.expand(free.shape).gather(-1, first)
    return item.where(free.gather(-1, first), -1).squeeze(-1)


def _alike(ranking: Int[Tensor, "B pool S"], items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
    """Return the share of samples that agree with the slate up to a slot among those that agree up to the previous."""
    same = ranking.unsqueeze(1) == items.unsqueeze(2)
    alike = same.cumprod(-1).sum(2).float()
    before = torch.cat([alike.new_full((*alike.shape[:2], 1), ranking.shape[1]), alike[..., :-1]], -1)
    return alike / before.clamp(min=1)


def _log(shares: Float[Tensor, "B G S"], items: Int[Tensor, "B G S"]) -> Float[Tensor, "B G S"]:
    """Return the log of the slots' probabilities; −inf from the first slot on that is empty or impossible."""
    impossible = ((shares <= 0) | (items < 0)).cummax(-1).values
    return shares.log().masked_fill(impossible, float("-inf"))
