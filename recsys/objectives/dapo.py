"""GRPO with a wider upper clip and one mean over all codes (DAPO)."""

from __future__ import annotations

from recsys.objectives.advantages import group_normalised
from recsys.objectives.group import Group, Loss
from recsys.objectives.ratio import clipped, clipped_surrogate, token_log_ratio
from recsys.objectives.reduce import mean_of


def dapo(group: Group, *, clip_low: float = 0.2, clip_high: float = 0.28, epsilon: float = 1e-4) -> Loss:
    """`−mean_{p,i,l} min(ρ_il A_i, clip(ρ_il, 1 − ε_low, 1 + ε_high) A_i)`, no KL term.

    The mean runs over all codes of all candidates of all requests at once, so that requests with more candidates weigh
    more. DAPO also redraws groups whose rewards are all equal: `recsys.objectives.repair.informative` drops them,
    before this function, instead.

    Bias: that of `grpo` at the first inner step, where the two are equal on groups of one size.

    Args:
        group: the candidates.
        clip_low: half-width of the window of ρ below 1.
        clip_high: the same above 1; wider, so that improbable good candidates can grow; .28 in the paper.
        epsilon: added to the standard deviation of the rewards.

    Source: Yu et al., "DAPO" (arXiv 2503.14476), section 3; docs/papers.md#objectives.
    """
    advantage = group_normalised(group.reward, group.alive, epsilon=epsilon).unsqueeze(-1)
    log_ratio = token_log_ratio(group)
    alive = group.alive.unsqueeze(-1).expand_as(log_ratio)
    loss = -mean_of(clipped_surrogate(log_ratio, advantage, clip_low, clip_high), alive)
    held = clipped(log_ratio, advantage, clip_low, clip_high)
    return Loss(loss, {"clip_fraction": mean_of(held.to(loss.dtype), alive)})
