"""Terms that group objectives share: masked means, returns, advantages, importance ratios and KL penalties.

Where each slot of a slate is rewarded by itself, a slot is the unit that has a return and an advantage; otherwise the
whole slate is. `U` counts the units of a candidate: `S`, or 1.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.types.rollout import Rollout


def masked_mean(values: Float[Tensor, "*shape"], mask: Bool[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Mean of the values the mask names; 0 where it names none. Masked values may be −inf or NaN.

    >>> import torch
    >>> masked_mean(torch.tensor([1.0, 3.0, float("nan")]), torch.tensor([True, True, False]))
    tensor(2.)
    """
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def group_mean(values: Float[Tensor, "P G"], mask: Bool[Tensor, "P G"]) -> Float[Tensor, ""]:
    """Mean over each request's candidates, then over the requests that have one; 0 where none has.

    Every request weighs the same, however many candidates its legal set has.

    >>> import torch
    >>> group_mean(torch.tensor([[1.0, 3.0], [6.0, 9.0]]), torch.tensor([[True, True], [True, False]]))
    tensor(4.)
    """
    of_request = values.masked_fill(~mask, 0.0).sum(-1) / mask.sum(-1).clamp(min=1)
    return masked_mean(of_request, mask.any(-1))


def largest_of(values: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """Return the largest value, at least 0; 0 where there is none."""
    return values.new_zeros(()) if values.numel() == 0 else values.amax().clamp(min=0.0)


def returns(rollout: Rollout) -> Float[Tensor, "P G U"]:
    """Return what each unit of a candidate is credited with, in the reward's own unit; 0 where there is no candidate.

    A rewarded slot is credited with the reward to go, `R_s = Σ_{t ≥ s} r_t`: a slot can change what later slots earn,
    never what earlier ones did. A rewarded slate is credited with its reward.
    """
    if rollout.slot_reward is None:
        return rollout.reward.masked_fill(~rollout.mask, 0.0).unsqueeze(-1)
    earned = rollout.slot_reward.masked_fill(~rollout.mask.unsqueeze(-1), 0.0)
    return earned.flip(-1).cumsum(-1).flip(-1)


def centred(reward: Float[Tensor, "*shape G"], mask: Bool[Tensor, "*#shape G"]) -> Float[Tensor, "*shape G"]:
    """`A_i = r_i − mean r`, over the candidates that exist; 0 where there is none. Reward's own unit.

    >>> import torch
    >>> centred(torch.tensor([[1.0, 0.0, 0.0, 7.0]]), torch.tensor([[True, True, True, False]]))
    tensor([[ 0.6667, -0.3333, -0.3333,  0.0000]])
    """
    reward = reward.masked_fill(~mask, 0.0)
    mean = reward.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)
    return (reward - mean).masked_fill(~mask, 0.0)


def group_normalised(
    reward: Float[Tensor, "*shape G"], mask: Bool[Tensor, "*#shape G"], *, epsilon: float = 1e-4
) -> Float[Tensor, "*shape G"]:
    """`A_i = (r_i − mean r) / (std r + ε)` with the unbiased standard deviation (divisor `n − 1`), no unit.

    Groups whose rewards are all equal, and groups of one candidate, get zeros.

    Args:
        reward: `[…, G]`.
        mask: `[…, G]`; rewards elsewhere are ignored, and their advantage is 0.
        epsilon: ε, keeps nearly equal rewards from becoming large advantages; 1e-4 in ReRe's released code.

    >>> import torch
    >>> group_normalised(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.ones(1, 4, dtype=torch.bool))
    tensor([[ 1.4997, -0.4999, -0.4999, -0.4999]])
    """
    advantage = centred(reward, mask)
    variance = advantage.square().sum(-1, keepdim=True) / (mask.sum(-1, keepdim=True) - 1).clamp(min=1)
    return (advantage / (variance.sqrt() + epsilon)).masked_fill(~varied(reward, mask), 0.0)


def varied(reward: Float[Tensor, "*shape G"], mask: Bool[Tensor, "*#shape G"]) -> Bool[Tensor, "*shape 1"]:
    """Return the groups whose rewards differ, by exact comparison of those that exist."""
    highest = reward.masked_fill(~mask, float("-inf")).amax(-1, keepdim=True)
    return highest > reward.masked_fill(~mask, float("inf")).amin(-1, keepdim=True)


def centred_advantage(rollout: Rollout) -> Float[Tensor, "P G U"]:
    """Return `R_u − mean R_u` of each unit: over the group, slot by slot where slots are rewarded."""
    return centred(returns(rollout).mT, rollout.mask.unsqueeze(1)).mT


def normalised_advantage(rollout: Rollout, epsilon: float) -> Float[Tensor, "P G U"]:
    """Return `(R_u − mean R_u) / (std R_u + ε)` of each unit: over the group, slot by slot where slots are rewarded.

    Args:
        rollout: the candidates.
        epsilon: see `group_normalised`.
    """
    return group_normalised(returns(rollout).mT, rollout.mask.unsqueeze(1), epsilon=epsilon).mT


def differs(rollout: Rollout) -> Bool[Tensor, " P"]:
    """Return whether the candidates of a request have different returns, in some slot where slots are rewarded."""
    credited, nobody = returns(rollout), ~rollout.mask.unsqueeze(-1)
    highest = credited.masked_fill(nobody, float("-inf")).amax(1)
    lowest = credited.masked_fill(nobody, float("inf")).amin(1)
    return (highest > lowest).any(-1)


def by_unit(values: Float[Tensor, "P G S L"], rollout: Rollout) -> Float[Tensor, "P G U C"]:
    """Return values of codes grouped by the unit that they belong to: `C` is `L` for a slot, `S · L` for a slate."""
    return values.flatten(2).unsqueeze(2) if rollout.slot_reward is None else values


def unit_log_prob(rollout: Rollout) -> Float[Tensor, "P G U"]:
    """Return `log π_θ` of each unit, nats, with gradient; 0 where there is no candidate."""
    return by_unit(rollout.token_log_prob.masked_fill(_nobody(rollout), 0.0), rollout).sum(-1)


def unit_behaviour_log_prob(rollout: Rollout) -> Float[Tensor, "P G U"]:
    """Return `log π_old` of each unit, nats; 0 where there is no candidate."""
    return by_unit(rollout.behaviour_log_prob.masked_fill(_nobody(rollout), 0.0), rollout).sum(-1)


def behaviour_log_prob(rollout: Rollout) -> Float[Tensor, "P G"]:
    """Return `log π_old` of each candidate, nats; 0 where there is none."""
    return unit_behaviour_log_prob(rollout).sum(-1)


def token_log_ratio(rollout: Rollout) -> Float[Tensor, "P G S L"]:
    """Return `log π_θ − log π_old` of each code, nats, with gradient; 0, without gradient, where nobody is."""
    nobody = _nobody(rollout)
    return rollout.token_log_prob.masked_fill(nobody, 0.0) - rollout.behaviour_log_prob.masked_fill(nobody, 0.0)


def _nobody(rollout: Rollout) -> Bool[Tensor, "P G 1 1"]:
    return ~rollout.mask[..., None, None]


def clipped_surrogate(
    log_ratio: Float[Tensor, "*shape"], advantage: Float[Tensor, "*#shape"], clip_low: float, clip_high: float
) -> Float[Tensor, "*shape"]:
    """`min(ρ A, clip(ρ, 1 − clip_low, 1 + clip_high) A)` with `ρ = exp(log_ratio)`, to be raised.

    The gradient vanishes where `clipped` holds. It is unbounded for `A < 0, ρ ≫ 1`: see
    `recsys.objectives.group_relative`.
    Source: Schulman et al. 2017, "Proximal policy optimization algorithms", section 3.

    >>> clipped_surrogate(torch.tensor([3.0]).log(), torch.tensor([2.0]), 0.2, 0.2)
    tensor([2.4000])
    """
    ratio = log_ratio.exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - clip_low, 1 + clip_high) * advantage)


def clipped(
    log_ratio: Float[Tensor, "*shape"], advantage: Float[Tensor, "*#shape"], clip_low: float, clip_high: float
) -> Bool[Tensor, "*shape"]:
    """Return where the clip stops the gradient: `A > 0, ρ > 1 + clip_high` or `A < 0, ρ < 1 − clip_low`."""
    ratio = log_ratio.detach().exp()
    return ((advantage > 0) & (ratio > 1 + clip_high)) | ((advantage < 0) & (ratio < 1 - clip_low))


def k3(log_prob: Float[Tensor, "*shape"], reference_log_prob: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """`exp(d) − d − 1` with `d = log π_ref − log π_θ`: never negative, 0 where the two agree. Nats.

    Its mean over draws from π_θ is `KL(π_θ ‖ π_ref)`; over beams it is only an indicator. Source: Schulman,
    "Approximating KL divergence" (2020).

    >>> import torch
    >>> k3(torch.tensor([0.5]).log(), torch.tensor([0.25]).log())
    tensor([0.1931])
    """
    difference = reference_log_prob - log_prob
    return difference.exp() - difference - 1


def kl_to_reference(rollout: Rollout) -> Float[Tensor, ""]:
    """Mean of `k3` over codes, then candidates, then requests, with gradient. Nats a code.

    Raises:
        ConfigurationError: the rollout carries no reference log-probabilities.
    """
    if rollout.reference_log_prob is None:
        raise ConfigurationError(
            "a KL term was asked for, but the rollout has no reference log-probabilities: give the system a reference "
            "policy, or set kl_weight to 0"
        )
    nobody = _nobody(rollout)
    penalty = k3(rollout.token_log_prob.masked_fill(nobody, 0.0), rollout.reference_log_prob.masked_fill(nobody, 0.0))
    return group_mean(penalty.flatten(2).mean(-1), rollout.mask)


def kl_penalty(rollout: Rollout, weight: float) -> Float[Tensor, ""]:
    """`weight · kl_to_reference`; exactly 0, and no reference needed, where the weight is 0."""
    return weight * kl_to_reference(rollout) if weight else rollout.token_log_prob.new_zeros(())
