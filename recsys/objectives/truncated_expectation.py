"""The expected reward over the most probable candidates, in closed form."""

from __future__ import annotations

import torch

from recsys.errors import ConfigurationError
from recsys.objectives.group import Group, Loss
from recsys.objectives.reduce import mean_in_groups, mean_of


def truncated_expectation(group: Group, *, temperature: float = 1.0) -> Loss:
    """`−mean_p Σ_i p̃_i r_i` with `p̃ = softmax_i(log π_θ(y_i) / τ)` over the group.

    The gradient is `−Σ_i p̃_i (r_i − r̄) ∇log π_θ(y_i) / τ` with `r̄ = Σ p̃ r`: it needs no sampling, no ratio and no
    baseline, and has no variance given the group, which should hold the most probable legal items, each once
    (`Drawn.TOP`).

    Bias: none where the group is the whole legal set and τ = 1; otherwise the gradient is that of the truncated
    expectation. In the oracle test (six items, graded rewards) the four most probable, 88 % of the mass, give cosine
    .8413 to the exact policy gradient and .8909 times its length; five, 96 %, give .9871 and 1.0036, where `grpo` on
    the same five has cosine .9218. `covered_mass` tells how much of the policy the group holds.

    Args:
        group: rewards and current log-probabilities are read; the behaviour is not.
        temperature: τ of p̃, no unit; above 1 spreads the weight to less probable candidates.

    Raises:
        ConfigurationError: the temperature is not positive.

    Source: ours; docs/papers.md#beams-are-not-samples.
    """
    if temperature <= 0:
        raise ConfigurationError(f"temperature is {temperature}: it must be positive (1 weighs as the policy does)")
    log_prob = group.log_prob.masked_fill(~group.alive, torch.finfo(group.token_log_prob.dtype).min)
    weight = (log_prob / temperature).softmax(-1)
    expected = (weight * group.reward.masked_fill(~group.alive, 0.0)).sum(-1)
    mass = group.log_prob.detach().exp().masked_fill(~group.alive, 0.0).sum(-1)
    exists = group.alive.any(-1)
    return Loss(
        -mean_of(expected, exists),
        {
            "covered_mass": mean_of(mass, exists),
            "expected_reward": mean_of(expected.detach(), exists),
            "reward_mean": mean_in_groups(group.reward, group.alive),
        },
    )
