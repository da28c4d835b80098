"""Diagnostics of reinforcement learning from groups: reward, entropy, KL and shares of groups."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.objectives.group_terms import behaviour_log_prob, differs, group_mean, k3, masked_mean
from recsys.types.rollout import Rollout


def rl_diagnostics(rollout: Rollout) -> dict[str, Tensor]:
    """Scalars without gradient about one batch of groups; shares lie in [0, 1] and count requests with a candidate.

    - `reward_mean`: of slates, mean over candidates, then requests; `slot_reward/<s>`, s from 1: of each slot, where
      slots are rewarded.
    - `all_zero_share`: groups of which every reward is 0; `equal_share`: groups whose returns are all equal (slot by
      slot where slots are rewarded), from which a centred objective learns nothing.
    - `no_hit_share`, `single_hit_share`: groups that hold the logged answer in no candidate, or in exactly one; only
      where the rollout knows the logged answer.
    - `entropy`: of the policy over slates, nats: `−mean log π`, with importance weights where the group was sampled
      without replacement. Unbiased for samples; over beams (`SamplingMethod.TOP`) it understates the entropy.
    - `behaviour_kl`: `KL(π_old ‖ π_θ)` estimated by k3 on whole candidates, nats; 0 at the first inner step.
    - `kl`: `KL(π_θ ‖ π_ref)` likewise; only where the rollout carries a reference.

    Source: ours; ReCast (arXiv 2604.22169), Fig. 1, for the shares of groups.
    """
    mask, exists = rollout.mask, rollout.mask.any(-1)
    dtype = rollout.reward.dtype
    log_prob = rollout.log_prob.detach()
    reward = rollout.reward.masked_fill(~mask, 0.0)
    shares = {"all_zero_share": (reward == 0).all(-1), "equal_share": ~differs(rollout)}
    if rollout.is_logged is not None:
        hits = (rollout.is_logged & mask).sum(-1)
        shares |= {"no_hit_share": hits == 0, "single_hit_share": hits == 1}
    scalars = {name: masked_mean(of_group.to(dtype), exists) for name, of_group in shares.items()}
    scalars["reward_mean"] = group_mean(reward, mask)
    if rollout.slot_reward is not None:
        for slot, earned in enumerate(rollout.slot_reward.unbind(-1), 1):
            scalars[f"slot_reward/{slot}"] = group_mean(earned, mask)
    scalars["entropy"] = _entropy(rollout, log_prob)
    scalars["behaviour_kl"] = group_mean(k3(behaviour_log_prob(rollout), log_prob), mask)
    if rollout.reference_log_prob is not None:
        reference = rollout.reference_log_prob.masked_fill(~mask[..., None, None], 0.0).flatten(2).sum(-1)
        scalars["kl"] = group_mean(k3(log_prob, reference), mask)
    return scalars


def unique_share(items: Int[Tensor, "P G S"]) -> Float[Tensor, ""]:
    """Distinct slates among the candidates that exist, as a share of them, over the whole batch; 0 without candidates.

    Slates are distinct where a slot differs. A candidate exists where every slot holds an item.

    >>> unique_share(torch.tensor([[[3], [3], [5], [-1]]]))
    tensor(0.6667)
    """
    mask = (items >= 0).all(-1)
    ordered = items.masked_fill(~mask.unsqueeze(-1), -1)
    for slot in reversed(range(items.shape[-1])):
        order = ordered[..., slot].argsort(dim=-1, stable=True)
        ordered = ordered.gather(1, order.unsqueeze(-1).expand_as(ordered))
    first = torch.ones_like(mask)
    first[:, 1:] = (ordered[:, 1:] != ordered[:, :-1]).any(-1)
    distinct = (first & (ordered >= 0).all(-1)).sum()
    return distinct / mask.sum().clamp(min=1)


def _entropy(rollout: Rollout, log_prob: Tensor) -> Tensor:
    if rollout.log_inclusion is None:
        return -group_mean(log_prob, rollout.mask)
    weight = (log_prob - rollout.log_inclusion.masked_fill(~rollout.mask, 0.0)).exp()
    return -masked_mean((weight * log_prob).masked_fill(~rollout.mask, 0.0).sum(-1), rollout.mask.any(-1))
