"""GRPO without its two normalisations (Dr. GRPO)."""

from __future__ import annotations

from recsys.objectives.advantages import centred
from recsys.objectives.group import Group, Loss
from recsys.objectives.ratio import clipped, clipped_surrogate, token_log_ratio
from recsys.objectives.reduce import mean_in_groups


def dr_grpo(group: Group, *, clip: float = 0.2) -> Loss:
    """`−mean_p mean_i Σ_l min(ρ_il A_i, clip(ρ_il, 1 − ε, 1 + ε) A_i)` with `A_i = r_i − mean r`.

    No division by the standard deviation, no mean over codes.

    Bias: for G draws with replacement, at the first inner step, exactly `(G − 1) / G` times the policy gradient, since
    a candidate's own reward is part of its baseline: the direction is exact.

    Args:
        group: the candidates.
        clip: half-width of the window of ρ around 1.

    Source: Liu et al., "Understanding R1-Zero-like training" (arXiv 2503.20783), section 3; docs/papers.md#objectives.
    """
    advantage = centred(group.reward, group.alive).unsqueeze(-1)
    log_ratio = token_log_ratio(group)
    surrogate = clipped_surrogate(log_ratio, advantage, clip, clip).sum(-1)
    held = clipped(log_ratio, advantage, clip, clip)
    loss = -mean_in_groups(surrogate, group.alive)
    return Loss(loss, {"clip_fraction": mean_in_groups(held.to(loss.dtype).mean(-1), group.alive)})
