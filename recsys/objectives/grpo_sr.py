"""GRPO with the logged item lifted to the top of its group, and its likelihood in place of a KL term (GRPO-SR)."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.objectives.cross_entropy import cross_entropy
from recsys.objectives.group import Group, Loss
from recsys.objectives.grpo import released_grpo


def lifted_to_best(group: Group) -> Float[Tensor, "P G"]:
    """`[P, G]`: the rewards, the logged item's raised to the largest of its group; 0 where there is no candidate."""
    best = group.reward.masked_fill(~group.alive, float("-inf")).amax(-1, keepdim=True)
    return torch.where(group.is_target, best, group.reward).masked_fill(~group.alive, 0.0)


def grpo_sr(group: Group, *, target_weight: float = 0.1, epsilon: float = 1e-4) -> Loss:
    """`−mean_p mean_i mean_l (π_θ / sg(π_θ)) A_i + α · mean_p −log π_θ(target_p)`, `A` of the lifted rewards.

    The paper's gate `1[relevance > τ] · preference` is a reward: `recsys.rewards.gated.Gated`.

    Bias: with `α = 0`, that of `grpo` for the lifted rewards, which overrule a preference that ranks another item above
    the logged one: for such a preference in the oracle test (six items, G = 3) the cosine to the exact policy gradient
    is .9542, where `grpo`'s is .9821; with `α = .1` it is .6135. The second term is `cross_entropy`'s.

    Args:
        group: `behaviour_log_prob` is not read.
        target_weight: α; the paper gives no value, .1 is ours.
        epsilon: added to the standard deviation of the rewards.

    Source: arXiv 2604.14878; docs/papers.md#objectives.
    """
    reward_loss = released_grpo(replace(group, reward=lifted_to_best(group)), kl_weight=0.0, epsilon=epsilon)
    likelihood = cross_entropy(group)
    return Loss(
        reward_loss.value + target_weight * likelihood.value, {**reward_loss.diagnostics, **likelihood.diagnostics}
    )
