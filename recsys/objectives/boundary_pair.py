"""ReCast: a clipped objective of the best hit against the hardest miss."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.group_terms import (
    behaviour_log_prob,
    clipped,
    clipped_surrogate,
    group_mean,
    kl_penalty,
    masked_mean,
    token_log_ratio,
)
from recsys.objectives.objective import Loss, require_is_logged, require_one_slot, require_slate_rewards
from recsys.ranges import above, at_least
from recsys.types.rollout import Rollout


def structural_score(shared_codes: Int[Tensor, "*shape"], levels: int) -> Float[Tensor, "*shape"]:
    """How much of the target's path a candidate shares: 1 all codes, .1 the first two or more, .01 the first, else 0.

    Args:
        shared_codes: how many leading codes are the target's, 0 to `levels`.
        levels: L.

    >>> structural_score(torch.tensor([0, 1, 2, 3]), 3)
    tensor([0.0000, 0.0100, 0.1000, 1.0000])
    """
    table = torch.full((levels + 1,), 0.1, device=shared_codes.device)
    table[:2] = torch.tensor([0.0, 0.01], device=shared_codes.device)[: levels + 1]
    table[levels] = 1.0
    return table[shared_codes.long()]


def boundary_pair(rollout: Rollout) -> tuple[Int[Tensor, "P 2"], Bool[Tensor, " P"]]:
    """Columns of each request's best hit and of its hardest miss, and whether the request has both.

    The best hit has the largest reward; the hardest miss the largest `structural_score`, then the largest probability
    when it was sampled. Ties go to the candidate listed first.

    Raises:
        ConfigurationError: the rollout carries no `shared_codes`, or does not know the logged item.
    """
    is_logged = require_is_logged(rollout, "recast")
    if rollout.shared_codes is None:
        raise ConfigurationError("recast needs shared_codes in the rollout: let the system compare the items' codes")
    lowest = float("-inf")
    hit, miss = is_logged & rollout.mask, ~is_logged & rollout.mask
    best = rollout.reward.masked_fill(~hit, lowest).argmax(-1)
    codes = rollout.shared_codes.masked_fill(~miss, 0)
    score = structural_score(codes, rollout.token_log_prob.shape[-1]).masked_fill(~miss, lowest)
    hardest = miss & (score == score.amax(-1, keepdim=True))
    rival = behaviour_log_prob(rollout).masked_fill(~hardest, lowest).argmax(-1)
    return torch.stack([best, rival], -1), hit.any(-1) & miss.any(-1)


def recast(rollout: Rollout, *, weight: float = 1.0, clip: float = 0.2, kl_weight: float = 0.0) -> Loss:
    """`−mean_p ½ Σ_{i ∈ pair} [ mean_l min(ρ_il A_i, clip(ρ_il) A_i) − β k3 ]`, `A = +w` the best hit, `−w` the miss.

    Only the boundary pair of each request takes part, so that two sequences a request are back-propagated. Requests
    without a hit or without a miss are left out; `recsys.objectives.group_transforms.recast_repair` gives every group a
    hit before it is scored.

    Bias: it no longer estimates the gradient of the expected reward. For the hit reward of the oracle test (six items,
    G = 3 draws with replacement) it has cosine .9769 to the exact policy gradient, and .9495 after repair.

    Args:
        rollout: of single items, with `shared_codes`, and `reference_log_prob` where there is a KL term; rewards of
            slates only.
        weight: w; 1 in the paper.
        clip: half-width of the window of ρ around 1.
        kl_weight: β; 0 needs no reference.

    Raises:
        ConfigurationError: slates have several slots, slots are rewarded one by one, or the rollout does not know the
            logged item.

    Source: ReCast (arXiv 2604.22169); docs/papers.md#objectives.
    """
    above(0, weight=weight, clip=clip)
    at_least(0, kl_weight=kl_weight)
    require_one_slot(rollout, "recast")
    require_slate_rewards(rollout, "recast")
    columns, complete = boundary_pair(rollout)
    pair = rollout.candidates(columns, complete.unsqueeze(-1))
    advantage = torch.tensor([weight, -weight], dtype=rollout.token_log_prob.dtype, device=columns.device)
    advantage = advantage.view(1, 2, 1, 1)
    log_ratio = token_log_ratio(pair)
    surrogate = clipped_surrogate(log_ratio, advantage, clip, clip).flatten(2).mean(-1)
    loss = -group_mean(surrogate, pair.mask) + kl_penalty(pair, kl_weight)
    is_clipped = clipped(log_ratio, advantage, clip, clip)
    share = group_mean(is_clipped.to(loss.dtype).flatten(2).mean(-1), pair.mask)
    return Loss(
        loss, {"clip_fraction": share, "pair_share": masked_mean(complete.to(loss.dtype), torch.ones_like(complete))}
    )
