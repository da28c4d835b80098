"""Preferences between slates: pairs from rewarded groups, and direct preference optimisation (DPO)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import logsigmoid

from recsys.errors import ConfigurationError
from recsys.objectives.group_terms import masked_mean
from recsys.objectives.objective import Loss
from recsys.ranges import above, at_least
from recsys.types.context import Context
from recsys.types.preference_pairs import PreferencePairs
from recsys.types.rollout import Rollout
from recsys.types.slates import SamplingMethod, Slates


def best_and_worst(rollout: Rollout, margin: float = 0.0) -> tuple[Int[Tensor, "P 2"], Bool[Tensor, " P"]]:
    """Return the columns of each request's best and worst candidate by reward, and whether the best is better.

    Slates are compared by their whole reward, also where slots are rewarded. Ties go to the candidate listed first.

    Args:
        rollout: the candidates.
        margin: how much more than the worst the best must earn, at least 0; in the reward's unit.
    """
    best = rollout.reward.masked_fill(~rollout.mask, float("-inf")).argmax(-1)
    worst = rollout.reward.masked_fill(~rollout.mask, float("inf")).argmin(-1)
    columns = torch.stack([best, worst], -1)
    earned = rollout.reward.gather(-1, columns)
    return columns, rollout.mask.any(-1) & (earned[:, 0] - earned[:, 1] > margin)


def preference_pairs(rollout: Rollout, context: Context, *, margin: float = 0.0) -> PreferencePairs:
    """Return the best slate of each group against its worst, each pair with weight 1.

    Requests whose candidates do not differ in reward give no pair: as many pairs as requests come out at most.

    Args:
        rollout: the candidates with their rewards.
        context: the requests that they were sampled for.
        margin: see `best_and_worst`.
    """
    columns, better = best_and_worst(rollout, margin)
    rows = better.nonzero().squeeze(-1)
    pairs = rollout.candidates(columns, better.unsqueeze(-1)).select(rows)
    log_prob = pairs.behaviour_log_prob.sum(-1)
    chosen, rejected = (
        Slates(pairs.items[:, one : one + 1], log_prob[:, one : one + 1], SamplingMethod.GIVEN) for one in (0, 1)
    )
    return PreferencePairs(context.select(rows), chosen, rejected, pairs.reward.new_ones(len(rows)))


def dpo_loss(
    log_prob: Float[Tensor, "B 2"],
    reference_log_prob: Float[Tensor, "B 2"],
    weight: Float[Tensor, " B"],
    *,
    beta: float = 0.1,
) -> Loss:
    """`−Σ_b w_b log σ(β (Δ_b better − Δ_b worse)) / Σ_b w_b` with `Δ = log π_θ − log π_ref`; 0 without a weight.

    At equal policies it is log 2, with the gradient `−β/2 (∇ log π(better) − ∇ log π(worse))`. Where preferences follow
    Bradley and Terry's model of a reward `r`, its minimum is `π ∝ π_ref · exp(r / β)`.

    Args:
        log_prob: `[B, 2]`, with gradient: log π_θ of the better and of the worse slate, nats.
        reference_log_prob: `[B, 2]`, without gradient: the same under the reference policy.
        weight: `[B]`, at least 0.
        beta: β, above 0: how strongly the policy is held to the reference; .1 in the paper.

    Raises:
        ConfigurationError: β is not positive.

    Source: Rafailov et al., "Direct preference optimization" (arXiv 2305.18290), equation 7.
    """
    if beta <= 0:
        raise ConfigurationError(f"beta is {beta}: it must be positive (.1 in the paper)")
    ratio = log_prob - reference_log_prob
    preferred = beta * (ratio[:, 0] - ratio[:, 1])
    total = weight.sum()
    share = weight / total.masked_fill(total == 0, 1.0)
    loss = -(share * logsigmoid(preferred)).sum()
    fixed = preferred.detach()
    accuracy = (share * (fixed > 0)).sum()
    return Loss(loss, {"preference_margin": (share * fixed).sum(), "preference_accuracy": accuracy})


def dpo(rollout: Rollout, *, beta: float = 0.1, margin: float = 0.0) -> Loss:
    """`dpo_loss` of the best candidate of each group against its worst, mean over the groups that have a pair.

    `preference_margin` is the mean of `β (Δ better − Δ worse)`, and `preference_accuracy` the share of pairs of which
    the policy prefers the better slate more than the reference does. `pair_share` counts the groups with a pair.

    Bias: it estimates no gradient of the expected reward, whose size it does not see. In the oracle test (six items,
    G = 3 draws with replacement, at the reference) a hit reward leaves the direction exact; graded rewards of both
    signs have cosine .9861 to the exact policy gradient.

    Args:
        rollout: with `reference_log_prob`; slates are compared by their whole reward, also where slots are rewarded.
        beta: see `dpo_loss`.
        margin: see `best_and_worst`.

    Raises:
        ConfigurationError: the rollout has no reference log-probabilities, or β is not positive.

    Source: Rafailov et al. (arXiv 2305.18290), equation 7, on the best and the worst of a sampled group as OneRec
    pairs them (arXiv 2502.18965).
    """
    above(0, beta=beta)
    at_least(0, margin=margin)
    if rollout.reference_log_prob is None:
        raise ConfigurationError(
            "dpo compares with a reference policy, but the rollout has no reference log-probabilities: give the system "
            "one (`reference: frozen`)"
        )
    columns, better = best_and_worst(rollout, margin)
    pair = rollout.candidates(columns, better.unsqueeze(-1))
    assert pair.reference_log_prob is not None
    reference = pair.reference_log_prob.masked_fill(~pair.mask[..., None, None], 0.0).flatten(2).sum(-1)
    weight = better.to(pair.reward.dtype)
    loss = dpo_loss(pair.log_prob, reference, weight, beta=beta)
    return Loss(loss.value, {**loss.diagnostics, "pair_share": masked_mean(weight, rollout.mask.any(-1))})
