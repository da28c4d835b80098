"""REINFORCE on stochastic beams: distinct candidates with known inclusion probabilities."""

from __future__ import annotations

from recsys.errors import ConfigurationError
from recsys.objectives.group import Group, Loss
from recsys.objectives.reduce import largest_of, mean_of


def without_replacement(group: Group, *, baseline: bool = True) -> Loss:
    """`−mean_p Σ_i w_i (r_i − b_i)` with `w_i = π_θ(y_i) / q(y_i)`, and gradient through `π_θ` in `w` alone.

    `q(y_i)` is the probability that candidate i is among the G largest of the perturbed log-probabilities, given the
    `G + 1`-th, `exp(log_inclusion)`. The baseline comes from the group itself: `b_i = Σ_{j ≠ i} w_j r_j + π_θ(y_i)
    r_i`. The second part pays back what leaving i out of the first one misses, `E[Σ_{j ≠ i} w_j | i drawn] = 1 −
    π_θ(y_i)`.

    Bias: none, at the first inner step and at later ones, with or without the baseline (which takes part for G ≥ 2).
    The weights are exact importance weights and are not clipped: their variance is the price.

    Args:
        group: drawn without replacement; `behaviour_log_prob` is not read, `log_inclusion` is.
        baseline: whether to subtract `b_i`, which lowers the variance where rewards have a common level.

    Raises:
        ConfigurationError: the group carries no inclusion probabilities.

    Source: Kool, van Hoof and Welling, "Stochastic beams and where to find them" (2019), section 4, and "Buy 4
    REINFORCE samples, get a baseline for free" (2019); products of weights: Duffield, Lund and Thorup, "Priority
    sampling" (2007).
    """
    if group.log_inclusion is None:
        raise ConfigurationError(
            "without_replacement needs log_inclusion: draw the group by stochastic beam search "
            "(Drawn.WITHOUT_REPLACEMENT)"
        )
    log_prob = group.log_prob
    reward = group.reward.masked_fill(~group.alive, 0.0)
    log_weight = log_prob - group.log_inclusion.masked_fill(~group.alive, 0.0)
    weight = log_weight.exp().masked_fill(~group.alive, 0.0)
    advantage = reward
    if baseline and group.alive.shape[1] > 1:
        earned = (weight * reward).detach()
        advantage = reward - (earned.sum(-1, keepdim=True) - earned + log_prob.detach().exp() * reward)
    exists = group.alive.any(-1)
    total = weight.detach().sum(-1)
    return Loss(
        -mean_of((weight * advantage).sum(-1), exists),
        {
            "weight_sum": mean_of(total, exists),
            "largest_weight": largest_of(weight.detach()),
            "expected_reward": mean_of((weight.detach() * reward).sum(-1), exists),
        },
    )
