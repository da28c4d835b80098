"""How much more probable candidates became since they were drawn, and the clip that bounds it."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.objectives.group import Group


def token_log_ratio(group: Group) -> Float[Tensor, "P G L"]:
    """`log π_θ − log π_old` of each code, nats, with gradient; 0 (without gradient) where there is no candidate."""
    dead = ~group.alive.unsqueeze(-1)
    return group.token_log_prob.masked_fill(dead, 0.0) - group.behaviour_log_prob.masked_fill(dead, 0.0)


def behaviour_log_prob(group: Group) -> Float[Tensor, "P G"]:
    """`log π_old` of each candidate, nats; 0 where there is none."""
    return group.behaviour_log_prob.masked_fill(~group.alive.unsqueeze(-1), 0.0).sum(-1)


def clipped_surrogate(
    log_ratio: Float[Tensor, "*shape"], advantage: Float[Tensor, "*#shape"], clip_low: float, clip_high: float
) -> Float[Tensor, "*shape"]:
    """`min(ρ A, clip(ρ, 1 − clip_low, 1 + clip_high) A)` with `ρ = exp(log_ratio)`, to be raised.

    The gradient vanishes where `clipped` holds. It is unbounded for `A < 0, ρ ≫ 1`: see `recsys.objectives.ecpo`.
    Source: Schulman et al. 2017, "Proximal policy optimization algorithms", section 3.

    >>> clipped_surrogate(torch.tensor([3.0]).log(), torch.tensor([2.0]), 0.2, 0.2)
    tensor([2.4000])
    """
    ratio = log_ratio.exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip_low, 1 + clip_high) * advantage)


def clipped(
    log_ratio: Float[Tensor, "*shape"], advantage: Float[Tensor, "*#shape"], clip_low: float, clip_high: float
) -> Bool[Tensor, "*shape"]:
    """True where the clip holds the gradient back: `A > 0, ρ > 1 + clip_high` or `A < 0, ρ < 1 − clip_low`."""
    ratio = log_ratio.detach().exp()
    return ((advantage > 0) & (ratio > 1 + clip_high)) | ((advantage < 0) & (ratio < 1 - clip_low))
