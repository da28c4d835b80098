"""Early-clipped GRPO of the OneRec technical report."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.objectives.advantages import group_normalised
from recsys.objectives.group import Group, Loss
from recsys.objectives.ratio import behaviour_log_prob, clipped, clipped_surrogate
from recsys.objectives.reduce import mean_in_groups, mean_of


def early_clipped_log_ratio(
    log_prob: Float[Tensor, "*shape"], old_log_prob: Float[Tensor, "*shape"], clip: float, delta: float
) -> Float[Tensor, "*shape"]:
    """`log ρ'` with `ρ' = π_θ / max(π_old, sg(π_θ) / (1 + ε + δ))`: at most `1 + ε + δ`, its gradient never cut.

    >>> early_clipped_log_ratio(torch.tensor([0.5]).log(), torch.tensor([0.1]).log(), 0.2, 0.1).exp()
    tensor([1.3000])
    """
    floor = log_prob.detach() - math.log1p(clip + delta)
    return log_prob - torch.maximum(old_log_prob, floor)


def ecpo(group: Group, *, clip: float = 0.2, delta: float = 0.1, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i min(ρ'_i A_i, clip(ρ'_i, 1 − ε, 1 + ε) A_i)`, with one ratio a candidate and no KL term.

    PPO's minimum leaves the gradient of `A < 0, ρ ≫ 1` unbounded; `ρ'` bounds it at `1 + ε + δ` times `A ∇log π`
    without making it vanish. The report mixes the loss with next-item training: see `mixture`.

    Bias: at the first inner step `ρ' = 1`, and the gradient is `L` times that of `grpo`: the same direction.

    Args:
        group: the candidates.
        clip: ε, half-width of the window.
        delta: δ, how far beyond the window ρ may go; .1 in the report.
        epsilon: added to the standard deviation of the rewards.

    Source: OneRec technical report (arXiv 2506.13695); docs/papers.md#objectives.
    """
    advantage = group_normalised(group.reward, group.alive, epsilon=epsilon)
    old = behaviour_log_prob(group)
    log_ratio = early_clipped_log_ratio(group.log_prob, old, clip, delta)
    loss = -mean_in_groups(clipped_surrogate(log_ratio, advantage, clip, clip), group.alive)
    held = clipped(log_ratio, advantage, clip, clip)
    early = (group.log_prob.detach() - old > math.log1p(clip + delta)) & (advantage < 0)
    return Loss(
        loss,
        {
            "clip_fraction": mean_in_groups(held.to(loss.dtype), group.alive),
            "early_clip_fraction": mean_of(early.to(loss.dtype), group.alive),
        },
    )
