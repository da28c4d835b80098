"""How far the policy went from its reference."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.group import Group
from recsys.objectives.reduce import mean_in_groups


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


def kl_to_reference(group: Group) -> Float[Tensor, ""]:
    """Mean of `k3` over codes, then candidates, then requests, with gradient. Nats a code.

    Raises:
        ConfigurationError: the group carries no reference log-probabilities.
    """
    if group.reference_log_prob is None:
        raise ConfigurationError(
            "a KL term was asked for, but the group has no reference log-probabilities: give the system a reference "
            "policy, or set kl_weight to 0"
        )
    dead = ~group.alive.unsqueeze(-1)
    penalty = k3(group.token_log_prob.masked_fill(dead, 0.0), group.reference_log_prob.masked_fill(dead, 0.0))
    return mean_in_groups(penalty.mean(-1), group.alive)


def kl_penalty(group: Group, weight: float) -> Float[Tensor, ""]:
    """`weight · kl_to_reference`; exactly 0, and no reference needed, where the weight is 0."""
    return weight * kl_to_reference(group) if weight else group.token_log_prob.new_zeros(())
