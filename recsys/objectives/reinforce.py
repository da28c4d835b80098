"""REINFORCE with an off-policy correction for slates: every consumed item is weighted by what is known of its slate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.objectives.objective import Loss
from recsys.ranges import above

CAP = math.e**3
"""Largest off-policy weight of the paper."""


@dataclass(frozen=True)
class ConsumedItems:
    """`R` items that users consumed, of any slates of sessions that were not over.

    Log-probabilities are natural, and those of the item as the only item of a slate. They are finite for π.

    Args:
        log_prob: `[R]`, with gradient: `log π(a|s)`.
        behaviour_log_prob: `[R]`: `log μ(a|s)` of the policy that showed the item; its gradient is not used.
        slots: `[R]`, `K`, how many items the slate held, at least 1.
        advantage: `[R]`, without gradient: `R − b`, the return from the step on less a baseline of the request.
    """

    log_prob: Float[Tensor, " R"]
    behaviour_log_prob: Float[Tensor, " R"]
    slots: Int[Tensor, " R"]
    advantage: Float[Tensor, " R"]


def top_k_weight(log_prob: Float[Tensor, " R"], slots: Int[Tensor, " R"] | int) -> Float[Tensor, " R"]:
    """Return `λ_K = K (1 − π)^{K−1}`, in [0, K], without gradient.

    It is the derivative by `π` of `1 − (1 − π)^K`, the probability that an item is among `K` independent draws. It
    lets the policy grow where one of `K` places is hard to get, and rest where the place is nearly certain. `K = 1`
    gives 1.

    Source: Chen et al. 2019, "Top-K off-policy correction for a REINFORCE recommender system" (arXiv 1812.02353),
    section 4.3.

    Args:
        log_prob: `[R]`, `log π(a|s)` in nats; what rounding puts above 0 counts as 0.
        slots: `K`, at least 1, of each item or of all.

    >>> top_k_weight(torch.tensor([0.5, 1.0]).log(), 2)  # 2 · .5 and 2 · 0
    tensor([1., 0.])
    """
    missed = log_prob.detach().clamp(max=0).expm1().abs()
    return slots * missed ** (slots - 1)


def off_policy_weight(
    log_prob: Float[Tensor, " R"], behaviour_log_prob: Float[Tensor, " R"], cap: float | None = CAP
) -> Float[Tensor, " R"]:
    """Return `w = min(c, π / μ)`, without gradient.

    The cap bounds the variance and leaves a bias towards the behaviour policy. An item that μ could not have shown has
    the weight `c`, or infinity without a cap.

    Source: Chen et al. 2019, section 4 and, for the cap, section 4.4.

    Args:
        log_prob: `[R]`, `log π(a|s)` in nats, finite.
        behaviour_log_prob: `[R]`, `log μ(a|s)` in nats.
        cap: `c`, above 0; `e³` in the paper. None caps nothing.

    >>> off_policy_weight(torch.tensor([0.4, 0.4]).log(), torch.tensor([0.8, 0.1]).log(), cap=3.0)
    tensor([0.5000, 3.0000])
    """
    above(0, cap=cap)
    ratio = (log_prob - behaviour_log_prob).detach().exp()
    return ratio if cap is None else ratio.clamp(max=cap)


def reinforce_loss(
    log_prob: Float[Tensor, " R"], weight: Float[Tensor, " R"], advantage: Float[Tensor, " R"]
) -> Float[Tensor, ""]:
    """Return `−mean(w (R − b) log π(a|s))` over the consumed items; 0, with a gradient of 0, where there are none."""
    return -(weight * advantage * log_prob).sum() / max(len(log_prob), 1)


def top_k_reinforce(items: ConsumedItems, *, cap: float | None = CAP, slate_correction: bool = True) -> Loss:
    """Return `−mean(w λ_K (R − b) log π(a|s))` over the consumed items.

    Among the diagnostics, `off_policy_weight` and `top_k_weight` are means, and `capped` is the share of items whose
    weight reached the cap; all are 0 where nothing was consumed.

    Source: Chen et al. 2019, sections 4.3 and 4.4.

    Args:
        items: that were consumed; there may be none.
        cap: see `off_policy_weight`.
        slate_correction: whether `λ_K` is used; without it, an item is learned as if it had been shown alone.
    """
    above(0, cap=cap)
    weight = off_policy_weight(items.log_prob, items.behaviour_log_prob, cap)
    slate = top_k_weight(items.log_prob, items.slots) if slate_correction else torch.ones_like(weight)
    capped = torch.zeros_like(weight) if cap is None else (weight >= cap).to(weight.dtype)
    watched = {"off_policy_weight": weight, "top_k_weight": slate, "capped": capped}
    return Loss(
        reinforce_loss(items.log_prob, weight * slate, items.advantage),
        {name: values.sum() / max(len(values), 1) for name, values in watched.items()},
    )
