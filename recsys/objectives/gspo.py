"""GRPO with one ratio a candidate instead of one a code (GSPO)."""

from __future__ import annotations

from recsys.objectives.advantages import group_normalised
from recsys.objectives.group import Group, Loss
from recsys.objectives.ratio import clipped, clipped_surrogate, token_log_ratio
from recsys.objectives.reduce import mean_in_groups


def gspo(group: Group, *, clip_low: float = 3e-4, clip_high: float = 4e-4, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i min(s_i A_i, clip(s_i, 1 − ε_low, 1 + ε_high) A_i)` with `s_i = (π_θ(y_i) / π_old(y_i))^{1/L}`.

    A candidate is clipped as a whole, so that no update keeps half of an item's codes.

    Bias: that of `grpo` at the first inner step, where the two have the same gradient.

    Args:
        group: the candidates.
        clip_low: half-width of the window of s below 1; s is a geometric mean and moves little, hence the small values
            of the paper.
        clip_high: the same above 1.
        epsilon: added to the standard deviation of the rewards.

    Source: Zheng et al., "Group sequence policy optimization" (arXiv 2507.18071), section 4; docs/papers.md#objectives.
    """
    advantage = group_normalised(group.reward, group.alive, epsilon=epsilon)
    log_ratio = token_log_ratio(group).mean(-1)
    loss = -mean_in_groups(clipped_surrogate(log_ratio, advantage, clip_low, clip_high), group.alive)
    held = clipped(log_ratio, advantage, clip_low, clip_high)
    return Loss(loss, {"clip_fraction": mean_in_groups(held.to(loss.dtype), group.alive)})
