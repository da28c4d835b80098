"""Rewards by rank: NDCG of the slate, and ranking penalties for probable misses."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from recsys.ranges import at_least
from recsys.rewards.reward import Reward, is_hit
from recsys.types.example import Example
from recsys.types.slates import Slates


class NdcgReward(Reward):
    """`1 / log2(s + 1)` for a slate that holds the logged next item in slot s (from 1) of the first K, else 0.

    With one relevant item that is NDCG@K. Slates of one slot earn what `HitReward` gives.

    Args:
        cutoff: K, at least 1.

    Raises:
        ConfigurationError: K is below 1.

    >>> from recsys.types.context import Context
    >>> from recsys.types.jagged import Jagged
    >>> context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.empty(1))
    >>> example = Example.next_item(context, torch.tensor([7]))
    >>> NdcgReward()(example, Slates(torch.tensor([[[1, 2, 7], [7, 1, 2]]]), torch.zeros(1, 2, 3)))
    tensor([[0.5000, 1.0000]])
    """

    order_matters = True
    bounds = (0.0, 1.0)

    def __init__(self, cutoff: int = 10) -> None:
        at_least(1, cutoff=cutoff)
        self.cutoff = cutoff

    @override
    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        hit = slates.items[..., : self.cutoff] == example.item[:, None, None]
        slot = torch.arange(1, hit.shape[-1] + 1, device=hit.device, dtype=slates.log_prob.dtype)
        gain = (hit / (slot + 1).log2()).amax(-1)
        return gain.masked_fill(~slates.mask, 0.0)


class RankingReward(Reward):
    """ReRe's ranking reward as the formula has it; published rewards add it to `HitReward` (see `WeightedSum`).

    With `ρ_k` the rank of candidate k by probability in its group (1 = most probable, ties in the order listed):

        R̃_k = 0 for the target, −1 / log2(ρ_k + 1) for every other candidate
        R_k = −R̃_k / Σ_j R̃_j

    so that the wrong candidates share a penalty of −1, whatever the base of the logarithm. A group that holds only the
    target earns 0. A group without a hit is penalised too: once centred, its least probable candidates are pushed *up*.

    Source: MiniOneRec (arXiv 2510.24431), section 3.4, for ReRe (arXiv 2510.12211); docs/papers.md#rewards.

    >>> from recsys.types.context import Context
    >>> from recsys.types.jagged import Jagged
    >>> context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.empty(1))
    >>> example = Example.next_item(context, torch.tensor([7]))
    >>> items, log_prob = torch.tensor([7, 1, 2, 3]), torch.tensor([-1.0, -2.0, -3.0, -4.0])
    >>> RankingReward()(example, Slates(items.view(1, 4, 1), log_prob.view(1, 4, 1)))
    tensor([[ 0.0000, -0.4040, -0.3202, -0.2758]])
    """

    order_matters = False
    bounds = (-1.0, 0.0)

    @override
    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        log_prob = slates.slate_log_prob.masked_fill(~slates.mask, float("-inf"))
        rank = log_prob.argsort(dim=-1, descending=True, stable=True).argsort(-1)
        wrong = slates.mask & ~is_hit(example, slates)
        return _shared_penalty(rank.to(log_prob.dtype), mask=wrong, penalised=wrong)


class ReleasedRankingReward(Reward):
    """The ranking reward as ReRe's and MiniOneRec's released code computes it, to reproduce their runs.

    It departs from `RankingReward` in three ways: the rank is the position in the batch, whatever the probabilities;
    the target's own rank counts in the sum, so that the penalties sum to `−(1 − w_target)`; a group without a hit earns
    zeros.

    Source: `rere.py` of ReRe's released code; docs/papers.md#paper-and-released-code.
    """

    order_matters = True
    bounds = (-1.0, 0.0)

    @override
    def __call__(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        mask, hit = slates.mask, is_hit(example, slates)
        position = torch.arange(mask.shape[1], device=mask.device, dtype=slates.log_prob.dtype).expand_as(mask)
        return _shared_penalty(position, mask=mask, penalised=mask & ~hit & hit.any(-1, keepdim=True))


def _shared_penalty(
    rank: Float[Tensor, "B G"], mask: Bool[Tensor, "B G"], penalised: Bool[Tensor, "B G"]
) -> Float[Tensor, "B G"]:
    """`−w_k / Σ_j w_j` with `w = 1 / log2(rank + 2)`, ranks from 0; the sum runs over `mask`."""
    weight = 1 / (rank + 2).log2()
    total = (weight * mask).sum(-1, keepdim=True)
    return torch.where(penalised, -weight / total, 0.0)
