"""Preferences within a rewarded group: its best candidate against its worst."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.objectives.group_terms import masked_mean
from recsys.objectives.objective import Loss
from recsys.objectives.preference import PreferenceObjective
from recsys.ranges import at_least
from recsys.types.preference_pairs import ScoredPairs
from recsys.types.rollout import Rollout


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


def best_against_worst(rollout: Rollout, *, objective: PreferenceObjective, margin: float = 0.0) -> Loss:
    """Return a preference objective of the best candidate of each group against its worst, over groups with a pair.

    `pair_share` counts the groups with a pair; the other diagnostics are those of the objective.

    Bias: it estimates no gradient of the expected reward, whose size it does not see. In the oracle test (six items,
    G = 3 draws with replacement, `dpo` at the reference) a hit reward leaves the direction exact; graded rewards of
    both signs have cosine .9861 to the exact policy gradient.

    Args:
        rollout: with `reference_log_prob` if the objective compares with a reference; slates are compared by their
            whole reward, also where slots are rewarded.
        objective: of the pairs.
        margin: see `best_and_worst`.

    Raises:
        ConfigurationError: the objective needs a reference, and the rollout has none.

    Source: OneRec pairs candidates so (arXiv 2502.18965), §3.4.
    """
    at_least(0, margin=margin)
    columns, better = best_and_worst(rollout, margin)
    pair = rollout.candidates(columns, better.unsqueeze(-1))
    policy, reference = pair.slot_log_prob, pair.reference_log_prob
    if reference is not None:
        reference = reference.masked_fill(~pair.mask[..., None, None], 0.0).sum(-1)
    scored = ScoredPairs(
        better=policy[:, 0],
        worse=policy[:, 1:],
        weight=better.to(policy.dtype),
        reference_better=None if reference is None else reference[:, 0],
        reference_worse=None if reference is None else reference[:, 1:],
    )
    loss = objective(scored)
    return Loss(loss.value, {**loss.diagnostics, "pair_share": masked_mean(scored.weight, rollout.mask.any(-1))})
