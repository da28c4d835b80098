"""Cross-entropy of the logged next item."""

from __future__ import annotations

import torch

from recsys.objectives.group import Group, Loss
from recsys.objectives.reduce import mean_of


def cross_entropy(group: Group) -> Loss:
    """`−mean_p log π_θ(target_p)`, nats an item.

    Where `target_log_prob` is renormalised over the request's legal set, as everything of a `Group` is, this is the
    legal-set cross-entropy: no probability is spent on what will never be shown. Requests whose target lies outside
    their legal set (log-probability −inf) teach nothing and are left out; their share is `illegal_target_share`.

    Bias: none for its own purpose. As a policy gradient of the hit reward `1[y = target]` it is `∇π(t) / π(t)`: the
    exact direction, `1 / π(t)` times as long, so that rare targets weigh more (tests/oracles/test_objectives.py).
    """
    legal = group.target_log_prob.isfinite().all(-1)
    log_prob = group.target_log_prob.masked_fill(~legal.unsqueeze(-1), 0.0).sum(-1)
    loss = -mean_of(log_prob, legal)
    illegal = mean_of((~legal).to(log_prob.dtype), torch.ones_like(legal))
    return Loss(loss, {"target_log_prob": -loss.detach(), "illegal_target_share": illegal})
