"""Gradient-bounded policy optimisation of OneRec-V2."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.objectives.group import Group, Loss
from recsys.objectives.ratio import behaviour_log_prob
from recsys.objectives.reduce import largest_of, mean_in_groups


def bounded_log_ratio(
    log_prob: Float[Tensor, "*shape"], old_log_prob: Float[Tensor, "*shape"], advantage: Float[Tensor, "*shape"]
) -> Float[Tensor, "*shape"]:
    """`log(π_θ / π'_old)` with `π'_old = max(π_old, sg π_θ)` for `A ≥ 0` and `max(π_old, 1 − sg π_θ)` for `A < 0`.

    >>> bounded_log_ratio(torch.tensor([0.9]).log(), torch.tensor([0.01]).log(), torch.tensor([-1.0])).exp()
    tensor([9.0000])
    """
    current = log_prob.detach()
    bound = torch.where(advantage < 0, torch.log(-torch.expm1(current.clamp(max=0.0))), current)
    return log_prob - torch.maximum(old_log_prob, bound)


def gbpo(group: Group) -> Loss:
    """`−mean_p mean_i (π_θ(y_i) / π'_old(y_i)) A_i` with `A = r`, no window and no KL term.

    A good candidate's gradient is at most `A ∇log π`; a bad one's is at most that of binary cross-entropy,
    `π / (1 − π) ∇log π`. Rewards are used as they are: the paper's are +1 (good), −1 (disliked), 0, without any
    normalisation in the group.

    Bias: at the first inner step good candidates count fully and bad ones only `π / max(π, 1 − π)` times as much as in
    the policy gradient, so that improbable bad items are hardly pushed down. In the oracle test (six items, graded
    rewards of both signs) that is cosine .9104 and .6031 times the length of the exact policy gradient. Where no reward
    is negative there is none.

    Args:
        group: rewards in [−1, 1].

    Source: OneRec-V2 (arXiv 2508.20900); docs/papers.md#objectives.
    """
    advantage = group.reward.masked_fill(~group.alive, 0.0)
    ratio = bounded_log_ratio(group.log_prob, behaviour_log_prob(group), advantage).exp()
    loss = -mean_in_groups(ratio * advantage, group.alive)
    largest = largest_of(ratio.detach().masked_fill(~group.alive, 0.0))
    return Loss(loss, {"largest_ratio": largest})
