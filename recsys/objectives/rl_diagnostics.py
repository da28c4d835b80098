"""Diagnostics of reinforcement learning from groups: reward, entropy, KL and shares of groups."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.objectives.group_terms import behaviour_log_prob, group_mean, k3, masked_mean
from recsys.types.rollout import Group


def rl_diagnostics(group: Group) -> dict[str, Tensor]:
    """Scalars without gradient about one batch of groups; shares lie in [0, 1] and count requests with a candidate.

    - `reward_mean`: mean over candidates, then requests.
    - `all_zero_share`: groups of which every reward is 0; `equal_share`: groups whose rewards are all equal, from which
      a centred objective learns nothing.
    - `no_hit_share`, `single_hit_share`: groups that hold the logged next item in no candidate, or in exactly one.
    - `entropy`: of the policy, nats: `−mean log π`, with importance weights where the group was drawn without
      replacement. Unbiased for samples; over beams (`SamplingMethod.TOP`) it understates the entropy.
    - `behaviour_kl`: `KL(π_old ‖ π_θ)` estimated by k3 on whole candidates, nats; 0 at the first inner step.
    - `kl`: `KL(π_θ ‖ π_ref)` likewise; only where the group carries a reference.

    Source: ours; ReCast (arXiv 2604.22169), Fig. 1, for the shares of groups.
    """
    alive, exists = group.alive, group.alive.any(-1)
    dtype = group.reward.dtype
    log_prob = group.log_prob.detach()
    reward = group.reward.masked_fill(~alive, 0.0)
    spread = reward.masked_fill(~alive, float("-inf")).amax(-1) - reward.masked_fill(~alive, float("inf")).amin(-1)
    hits = (group.is_target & alive).sum(-1)
    shares = {
        "all_zero_share": (reward == 0).all(-1),
        "equal_share": spread == 0,
        "no_hit_share": hits == 0,
        "single_hit_share": hits == 1,
    }
    scalars = {name: masked_mean(of_group.to(dtype), exists) for name, of_group in shares.items()}
    scalars["reward_mean"] = group_mean(reward, alive)
    scalars["entropy"] = _entropy(group, log_prob)
    scalars["behaviour_kl"] = group_mean(k3(behaviour_log_prob(group), log_prob), alive)
    if group.reference_log_prob is not None:
        reference = group.reference_log_prob.masked_fill(~alive.unsqueeze(-1), 0.0).sum(-1)
        scalars["kl"] = group_mean(k3(log_prob, reference), alive)
    return scalars


def unique_share(items: Int[Tensor, "P G"], alive: Bool[Tensor, "P G"]) -> Float[Tensor, ""]:
    """Distinct items among the candidates that exist, as a share of them, over the whole batch; 0 without candidates.

    >>> unique_share(torch.tensor([[3, 3, 5, -1]]), torch.tensor([[True, True, True, False]]))
    tensor(0.6667)
    """
    ordered = items.masked_fill(~alive, -1).sort(-1).values
    first = torch.ones_like(alive)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    distinct = (first & (ordered >= 0)).sum()
    return distinct / alive.sum().clamp(min=1)


def _entropy(group: Group, log_prob: Tensor) -> Tensor:
    if group.log_inclusion is None:
        return -group_mean(log_prob, group.alive)
    weight = (log_prob - group.log_inclusion.masked_fill(~group.alive, 0.0)).exp()
    return -masked_mean((weight * log_prob).masked_fill(~group.alive, 0.0).sum(-1), group.alive.any(-1))
