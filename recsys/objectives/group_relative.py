"""Group-relative policy optimisation: GRPO, DAPO, Dr. GRPO, GSPO, GRPO-SR, ECPO and GBPO.

The advantage of a candidate is that of its slate, `A_i`, or of each of its slots, `A_is`, where the reward is given a
slot: normalised in the group slot by slot, of the reward to go (`recsys.objectives.group_terms.returns`). The formulas
write `A` for either.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.objectives.group_terms import (
    by_unit,
    centred_advantage,
    clipped,
    clipped_surrogate,
    group_mean,
    kl_penalty,
    largest_of,
    masked_mean,
    normalised_advantage,
    returns,
    token_log_ratio,
    unit_behaviour_log_prob,
    unit_log_prob,
)
from recsys.objectives.likelihood import cross_entropy
from recsys.objectives.objective import Loss, require_is_logged, require_slate_rewards
from recsys.ranges import above, at_least
from recsys.types.rollout import Rollout


def grpo(rollout: Rollout, *, clip: float = 0.2, kl_weight: float = 0.0, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i mean_sl [ min(ρ_isl A, clip(ρ_isl) A) − β · k3_isl ]`.

    `ρ_isl = π_θ(code l of slot s of y_i) / π_old(…)`, and `A_i = (r_i − mean r) / (std r + ε)` within the request's
    group. The mean over codes makes gradients `1 / (S · L)` as long as the policy gradient's. Groups whose rewards are
    all equal add nothing but stay in the mean; `recsys.objectives.group_transforms.informative` drops them.

    Bias: the division by std gives requests different weights and couples a candidate's advantage to its own draw. In
    the oracle test (six items, G = 3 draws with replacement, first inner step, `1 / L` undone) a hit reward leaves the
    direction exact and makes the gradient 1.1545 times as long; graded rewards of both signs have cosine .9881 to the
    exact policy gradient and 1.0775 times its length. On the four most probable items instead of draws
    (`SamplingMethod.TOP`) the cosine is .8449; see `truncated_expectation`. On slates of two slots (four items, twelve
    slates, G = 3) the cosine is .9758 with rewards a slate and .9705 with rewards a slot.

    Args:
        rollout: with `reference_log_prob` where there is a KL term; rewards of slates or of slots.
        clip: ε of PPO, half-width of the window of ρ outside which a candidate gets no more gradient; no effect at the
            first inner step, where ρ = 1.
        kl_weight: β; 1e-3 in ReRe. 0 needs no reference.
        epsilon: added to the standard deviation.

    Source: Shao et al., "DeepSeekMath" (arXiv 2402.03300), section 4.1; docs/papers.md#objectives.
    """
    above(0, clip=clip, epsilon=epsilon)
    at_least(0, kl_weight=kl_weight)
    advantage = normalised_advantage(rollout, epsilon).unsqueeze(-1)
    log_ratio = token_log_ratio(rollout)
    surrogate = clipped_surrogate(log_ratio, advantage, clip, clip)
    is_clipped = clipped(log_ratio, advantage, clip, clip)
    return _with_kl(rollout, -group_mean(surrogate.flatten(2).mean(-1), rollout.mask), kl_weight, is_clipped)


def released_grpo(rollout: Rollout, *, kl_weight: float = 1e-3, epsilon: float = 1e-4) -> Loss:
    """ReRe's and MiniOneRec's released form: `ρ = π_θ / sg(π_θ)`, so that it is 1 at every step and never clipped.

    Bias: that of `grpo`. Equal to it at the first inner step; at later ones it ignores that the group was sampled by an
        older policy.

    Args:
        rollout: `behaviour_log_prob` is not read; rewards of slates or of slots.
        kl_weight: β; 1e-3 in the released scripts.
        epsilon: added to the standard deviation; 1e-4 in the released code.

    Source: `rere_trainer.py` of ReRe's released code; docs/papers.md#paper-and-released-code.
    """
    above(0, epsilon=epsilon)
    at_least(0, kl_weight=kl_weight)
    advantage = normalised_advantage(rollout, epsilon)
    tokens = rollout.token_log_prob.masked_fill(~rollout.mask[..., None, None], 0.0)
    log_prob = by_unit(tokens, rollout).mean(-1)
    surrogate = (log_prob - log_prob.detach()).exp() * advantage
    return _with_kl(rollout, -group_mean(surrogate.mean(-1), rollout.mask), kl_weight, None)


def _with_kl(rollout: Rollout, loss: Tensor, kl_weight: float, is_clipped: Tensor | None) -> Loss:
    penalty = kl_penalty(rollout, kl_weight)
    every_code = rollout.mask[..., None, None].expand_as(rollout.token_log_prob)
    share = loss.new_zeros(()) if is_clipped is None else masked_mean(is_clipped.to(loss.dtype), every_code)
    return Loss(loss + penalty, {"clip_fraction": share, "kl_penalty": penalty.detach()})


def dapo(rollout: Rollout, *, clip_low: float = 0.2, clip_high: float = 0.28, epsilon: float = 1e-4) -> Loss:
    """`−mean_{p,i,s,l} min(ρ_isl A, clip(ρ_isl, 1 − ε_low, 1 + ε_high) A)`, no KL term.

    The mean runs over all codes of all candidates of all requests at once, so that requests with more candidates weigh
    more. DAPO also redraws groups whose rewards are all equal: `recsys.objectives.group_transforms.informative` drops
    them, before this function, instead.

    Bias: that of `grpo` at the first inner step, where the two are equal on groups of one size.

    Args:
        rollout: the candidates; rewards of slates or of slots.
        clip_low: half-width of the window of ρ below 1.
        clip_high: the same above 1; wider, so that improbable good candidates can grow; .28 in the paper.
        epsilon: added to the standard deviation of the rewards.

    Source: Yu et al., "DAPO" (arXiv 2503.14476), section 3; docs/papers.md#objectives.
    """
    above(0, clip_low=clip_low, clip_high=clip_high, epsilon=epsilon)
    advantage = normalised_advantage(rollout, epsilon).unsqueeze(-1)
    log_ratio = token_log_ratio(rollout)
    every_code = rollout.mask[..., None, None].expand_as(log_ratio)
    loss = -masked_mean(clipped_surrogate(log_ratio, advantage, clip_low, clip_high), every_code)
    is_clipped = clipped(log_ratio, advantage, clip_low, clip_high)
    return Loss(loss, {"clip_fraction": masked_mean(is_clipped.to(loss.dtype), every_code)})


def dr_grpo(rollout: Rollout, *, clip: float = 0.2) -> Loss:
    """`−mean_p mean_i Σ_sl min(ρ_isl A, clip(ρ_isl, 1 − ε, 1 + ε) A)` with `A_i = r_i − mean r`.

    No division by the standard deviation, no mean over codes.

    Bias: for G draws with replacement, at the first inner step, exactly `(G − 1) / G` times the policy gradient, since
    a candidate's own reward is part of its baseline: the direction is exact. That holds for slates of several slots,
    with rewards a slate or a slot.

    Args:
        rollout: the candidates; rewards of slates or of slots.
        clip: half-width of the window of ρ around 1.

    Source: Liu et al., "Understanding R1-Zero-like training" (arXiv 2503.20783), section 3; docs/papers.md#objectives.
    """
    above(0, clip=clip)
    advantage = centred_advantage(rollout).unsqueeze(-1)
    log_ratio = token_log_ratio(rollout)
    surrogate = clipped_surrogate(log_ratio, advantage, clip, clip).flatten(2).sum(-1)
    is_clipped = clipped(log_ratio, advantage, clip, clip)
    loss = -group_mean(surrogate, rollout.mask)
    return Loss(loss, {"clip_fraction": group_mean(is_clipped.to(loss.dtype).flatten(2).mean(-1), rollout.mask)})


def gspo(rollout: Rollout, *, clip_low: float = 3e-4, clip_high: float = 4e-4, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i min(ρ_i A_i, clip(ρ_i, 1 − ε_low, 1 + ε_high) A_i)`, `ρ_i = (π_θ(y_i) / π_old(y_i))^{1/(S·L)}`.

    A candidate is clipped as a whole, so that no update keeps half of an item's codes. Where slots are rewarded, each
    slot is such a sequence, `ρ_is = (π_θ(y_is | y_i,<s) / π_old(…))^{1/L}`, and the loss is the mean over slots.

    Bias: that of `grpo` at the first inner step, where the two have the same gradient.

    Args:
        rollout: the candidates; rewards of slates or of slots.
        clip_low: half-width of the window of ρ below 1; ρ is a geometric mean and moves little, hence the small values
            of the paper.
        clip_high: the same above 1.
        epsilon: added to the standard deviation of the rewards.

    Source: Zheng et al., "Group sequence policy optimization" (arXiv 2507.18071), section 4; docs/papers.md#objectives.
    """
    above(0, clip_low=clip_low, clip_high=clip_high, epsilon=epsilon)
    advantage = normalised_advantage(rollout, epsilon)
    log_ratio = by_unit(token_log_ratio(rollout), rollout).mean(-1)
    surrogate = clipped_surrogate(log_ratio, advantage, clip_low, clip_high)
    is_clipped = clipped(log_ratio, advantage, clip_low, clip_high)
    loss = -group_mean(surrogate.mean(-1), rollout.mask)
    return Loss(loss, {"clip_fraction": group_mean(is_clipped.to(loss.dtype).mean(-1), rollout.mask)})


def lifted_to_best(rollout: Rollout) -> Float[Tensor, "P G"]:
    """`[P, G]`: the rewards, the logged answer's raised to the largest of its group; 0 where there is no candidate.

    Raises:
        ConfigurationError: the rollout does not say which candidate is the logged answer.
    """
    is_logged = require_is_logged(rollout, "grpo_sr")
    best = rollout.reward.masked_fill(~rollout.mask, float("-inf")).amax(-1, keepdim=True)
    return torch.where(is_logged, best, rollout.reward).masked_fill(~rollout.mask, 0.0)


def grpo_sr(rollout: Rollout, *, target_weight: float = 0.1, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i mean_sl (π_θ / sg(π_θ)) A_i + α · mean_p −log π_θ(target_p)`, `A` of the lifted rewards.

    The paper's gate `1[relevance > τ] · preference` is a reward: `recsys.rewards.combined.ThresholdedReward`.

    Bias: with `α = 0`, that of `grpo` for the lifted rewards, which overrule a preference that ranks another item above
    the logged one: for such a preference in the oracle test (six items, G = 3) the cosine to the exact policy gradient
    is .9542, where `grpo`'s is .9821; with `α = .1` it is .6135. The second term is `cross_entropy`'s.

    Args:
        rollout: with the logged answers; `behaviour_log_prob` is not read; rewards of slates only.
        target_weight: α; the paper gives no value, .1 is ours.
        epsilon: added to the standard deviation of the rewards.

    Source: arXiv 2604.14878; docs/papers.md#objectives.
    """
    at_least(0, target_weight=target_weight)
    above(0, epsilon=epsilon)
    require_slate_rewards(rollout, "grpo_sr")
    reward_loss = released_grpo(rollout.replace(reward=lifted_to_best(rollout)), kl_weight=0.0, epsilon=epsilon)
    likelihood = cross_entropy(rollout)
    return Loss(
        reward_loss.value + target_weight * likelihood.value, {**reward_loss.diagnostics, **likelihood.diagnostics}
    )


def early_clipped_log_ratio(
    log_prob: Float[Tensor, "*shape"], old_log_prob: Float[Tensor, "*shape"], clip: float, delta: float
) -> Float[Tensor, "*shape"]:
    """`log ρ'` with `ρ' = π_θ / max(π_old, sg(π_θ) / (1 + ε + δ))`: at most `1 + ε + δ`, its gradient never cut.

    >>> early_clipped_log_ratio(torch.tensor([0.5]).log(), torch.tensor([0.1]).log(), 0.2, 0.1).exp()
    tensor([1.3000])
    """
    floor = log_prob.detach() - math.log1p(clip + delta)
    return log_prob - torch.maximum(old_log_prob, floor)


def ecpo(rollout: Rollout, *, clip: float = 0.2, delta: float = 0.1, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i min(ρ'_i A_i, clip(ρ'_i, 1 − ε, 1 + ε) A_i)`, with one ratio a candidate and no KL term.

    PPO's minimum leaves the gradient of `A < 0, ρ ≫ 1` unbounded; `ρ'` bounds it at `1 + ε + δ` times `A ∇log π`
    without making it vanish. The report mixes the loss with next-item training: see `mixture`. Where slots are
    rewarded, each slot has its own ratio and advantage, and the loss is the sum over slots.

    Bias: at the first inner step `ρ' = 1`, and the gradient is `S · L` times that of `grpo`: the same direction.

    Args:
        rollout: the candidates; rewards of slates or of slots.
        clip: ε, half-width of the window.
        delta: δ, how far beyond the window ρ may go; .1 in the report.
        epsilon: added to the standard deviation of the rewards.

    Source: OneRec technical report (arXiv 2506.13695); docs/papers.md#objectives.
    """
    above(0, clip=clip, epsilon=epsilon)
    at_least(0, delta=delta)
    advantage = normalised_advantage(rollout, epsilon)
    log_prob, old = unit_log_prob(rollout), unit_behaviour_log_prob(rollout)
    log_ratio = early_clipped_log_ratio(log_prob, old, clip, delta)
    loss = -group_mean(clipped_surrogate(log_ratio, advantage, clip, clip).sum(-1), rollout.mask)
    is_clipped = clipped(log_ratio, advantage, clip, clip)
    early = (log_prob.detach() - old > math.log1p(clip + delta)) & (advantage < 0)
    return Loss(
        loss,
        {
            "clip_fraction": group_mean(is_clipped.to(loss.dtype).mean(-1), rollout.mask),
            "early_clip_fraction": masked_mean(early.to(loss.dtype).mean(-1), rollout.mask),
        },
    )


def bounded_log_ratio(
    log_prob: Float[Tensor, "*shape"], old_log_prob: Float[Tensor, "*shape"], advantage: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """`log(π_θ / π'_old)` with `π'_old = max(π_old, sg π_θ)` for `A ≥ 0` and `max(π_old, 1 − sg π_θ)` for `A < 0`.

    >>> bounded_log_ratio(torch.tensor([0.9]).log(), torch.tensor([0.01]).log(), torch.tensor([-1.0])).exp()
    tensor([9.0000])
    """
    current = log_prob.detach()
    bound = torch.where(advantage < 0, torch.log(-torch.expm1(current.clamp(max=0.0))), current)
    return log_prob - torch.maximum(old_log_prob, bound)


def gbpo(rollout: Rollout) -> Loss:
    """`−mean_p mean_i (π_θ(y_i) / π'_old(y_i)) A_i` with `A = r`, no window and no KL term.

    A good candidate's gradient is at most `A ∇log π`; a bad one's is at most that of binary cross-entropy,
    `π / (1 − π) ∇log π`. Rewards are used as they are: the paper's are +1 (good), −1 (disliked), 0, without any
    normalisation in the group. Where slots are rewarded, each slot has its own ratio and its reward to go as advantage,
    and the loss is the sum over slots.

    Bias: at the first inner step good candidates count fully and bad ones only `π / max(π, 1 − π)` times as much as in
    the policy gradient, so that improbable bad items are hardly pushed down. In the oracle test (six items, graded
    rewards of both signs) that is cosine .9104 and .6031 times the length of the exact policy gradient; on slates of
    two slots .9580 and .7947 with rewards a slate, .9745 and .9726 with rewards a slot. Where no reward to go is
    negative there is none.

    Args:
        rollout: rewards in [−1, 1], of slates or of slots.

    Source: OneRec-V2 (arXiv 2508.20900); docs/papers.md#objectives.
    """
    advantage = returns(rollout)
    ratio = bounded_log_ratio(unit_log_prob(rollout), unit_behaviour_log_prob(rollout), advantage).exp()
    loss = -group_mean((ratio * advantage).sum(-1), rollout.mask)
    largest = largest_of(ratio.detach().masked_fill(~rollout.mask.unsqueeze(-1), 0.0))
    return Loss(loss, {"largest_ratio": largest})
