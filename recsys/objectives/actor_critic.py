"""Objectives of a policy with a critic: advantage actor-critic and proximal policy optimisation (PPO)."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from recsys.objectives.objective import Loss
from recsys.ranges import above, at_least


@dataclass(frozen=True)
class ActorCriticSteps:
    """`R` steps of sessions that were not over, of any users.

    Log-probabilities are those of whole slates, natural.

    Args:
        log_prob: `[R]`, with gradient: log π_θ of each slate.
        behaviour_log_prob: `[R]`, without gradient: the same under the policy that showed it.
        advantage: `[R]`, without gradient: how much more the slate was worth than expected.
        value: `[R]`, with gradient: what the critic expects.
        target: `[R]`, without gradient: what the critic should expect, in the reward's unit.
    """

    log_prob: Float[Tensor, " R"]
    behaviour_log_prob: Float[Tensor, " R"]
    advantage: Float[Tensor, " R"]
    value: Float[Tensor, " R"]
    target: Float[Tensor, " R"]


def policy_gradient_loss(log_prob: Float[Tensor, " R"], advantage: Float[Tensor, " R"]) -> Float[Tensor, ""]:
    """Return `−mean(A log π)`, whose gradient is the policy gradient where π showed the slates.

    Source: Williams 1992 (REINFORCE), with the critic as baseline: Sutton and Barto 2018, section 13.5.
    """
    return -(advantage * log_prob).mean()


def clipped_policy_loss(
    log_prob: Float[Tensor, " R"],
    behaviour_log_prob: Float[Tensor, " R"],
    advantage: Float[Tensor, " R"],
    clip: float,
) -> Float[Tensor, ""]:
    """Return `−mean min(ρ A, clip(ρ, 1 − ε, 1 + ε) A)` with `ρ = π / π_behaviour`.

    Where `ρ = 1` its gradient is that of `policy_gradient_loss`. Source: Schulman et al. 2017, "Proximal policy
    optimization algorithms", equation 7.

    Args:
        log_prob: see `ActorCriticSteps`.
        behaviour_log_prob: see `ActorCriticSteps`.
        advantage: see `ActorCriticSteps`.
        clip: `ε`, above 0; .2 in the paper.
    """
    ratio = (log_prob - behaviour_log_prob).exp()
    return -(ratio * advantage).minimum(ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def value_loss(value: Float[Tensor, " R"], target: Float[Tensor, " R"]) -> Float[Tensor, ""]:
    """Return `½ mean (V − G)²`, in the square of the reward's unit."""
    return 0.5 * (value - target).square().mean()


def sampled_entropy(log_prob: Float[Tensor, " R"], behaviour_log_prob: Float[Tensor, " R"]) -> Float[Tensor, ""]:
    """Return `−mean(ρ log π)` with `ρ = π / π_behaviour`: an unbiased estimate of π's entropy over slates, in nats.

    Its gradient is an unbiased estimate of the entropy's, as `E[ρ ∇ log π] = 0`; slates need not be enumerated.
    """
    return -((log_prob - behaviour_log_prob).exp() * log_prob).mean()


def advantage_actor_critic(steps: ActorCriticSteps, *, value_weight: float = 0.5, entropy_weight: float = 0.0) -> Loss:
    """Return policy gradient loss + `value_weight` · value loss − `entropy_weight` · entropy.

    For one pass over what the policy itself showed. Source: Mnih et al. 2016, "Asynchronous methods for deep
    reinforcement learning", section 4.

    Args:
        steps: at least one.
        value_weight: at least 0; .5 is common.
        entropy_weight: at least 0, in reward a nat; 0 leaves the policy's entropy alone.
    """
    at_least(0, value_weight=value_weight, entropy_weight=entropy_weight)
    return _together(policy_gradient_loss(steps.log_prob, steps.advantage), steps, value_weight, entropy_weight)


def proximal_policy_optimisation(
    steps: ActorCriticSteps, *, clip: float = 0.2, value_weight: float = 0.5, entropy_weight: float = 0.0
) -> Loss:
    """Return clipped policy loss + `value_weight` · value loss − `entropy_weight` · entropy.

    For several passes over what an earlier policy showed. Source: Schulman et al. 2017, equation 9. Among the
    diagnostics, `clip_fraction` is the share of steps whose ratio left `1 ± clip`.

    Args:
        steps: at least one.
        clip: see `clipped_policy_loss`.
        value_weight: at least 0; .5 is common.
        entropy_weight: at least 0, in reward a nat; 0 leaves the policy's entropy alone.
    """
    above(0, clip=clip)
    at_least(0, value_weight=value_weight, entropy_weight=entropy_weight)
    loss = clipped_policy_loss(steps.log_prob, steps.behaviour_log_prob, steps.advantage, clip)
    return _together(loss, steps, value_weight, entropy_weight, clip)


def _together(
    policy: Tensor, steps: ActorCriticSteps, value_weight: float, entropy_weight: float, clip: float | None = None
) -> Loss:
    value = value_loss(steps.value, steps.target)
    entropy = sampled_entropy(steps.log_prob, steps.behaviour_log_prob)
    log_ratio = (steps.log_prob - steps.behaviour_log_prob).detach()
    diagnostics = {
        "policy_loss": policy.detach(),
        "value_loss": value.detach(),
        "entropy": entropy.detach(),
        "kl": (log_ratio.expm1() - log_ratio).mean(),
    }
    if clip is not None:
        diagnostics["clip_fraction"] = ((log_ratio.exp() - 1).abs() > clip).float().mean()
    return Loss(policy + value_weight * value - entropy_weight * entropy, diagnostics)
