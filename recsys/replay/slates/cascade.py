"""Slate estimators that correct a model of what a slot and those after it earn."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.slates.rounds import SlateRounds


@dataclass(frozen=True)
class ModelledSlots:
    """`(1, w_k, w_k (r_k − Q_k), w_{k−1} Σ_a π(a | x, s_1 … s_{k−1}) Q_k(…, a))` a slate, each of the `k` in turn.

    `w_k` is the weight of the prefix up to slot `k`, `w_0 = 1`.
    """

    def __call__(self, batch: SlateRounds) -> Float[Tensor, "n k"]:
        """See `Terms`; `k = 1 + 3 S`."""
        batch.need_rewards_by_slot()
        weight, one = batch.prefix, torch.ones_like(batch.reward[:, :1])
        before = torch.cat([one, weight[:, :-1]], -1)
        surprise = weight * (batch.reward - batch.need("predicted") * batch.filled)
        return torch.cat([one, weight, surprise, before * batch.need("expected") * batch.filled], -1)


@dataclass(frozen=True)
class CascadeDR:
    """`Σ_i Σ_k [w_k (r_k − Q_k) + w_{k−1} Σ_a π(a | x, s_1 … s_{k−1}) Q_k(x, s_1 … s_{k−1}, a)] / n`.

    `w_k` is the weight of the prefix up to slot `k`. Unbiased in a cascade, where a slot earns by its item and those
    before it, whatever `Q`, which must not have seen the slate. `Q_k` ought to be what slot `k` and those after it earn
    under `π`; the nearer it is, the less the variance. With `Q = 0` it is `SlateIPS` with `Prefix` weights. Source:
    Kiyohara, Saito, Matsuhiro, Narita, Shimizu, Yamamoto 2022, "Doubly robust off-policy evaluation for ranking
    policies under the cascade behavior model".

    >>> one = torch.ones(1, 1)
    >>> rounds = SlateRounds(
    ...     torch.tensor([[0]]), one, logging_prefix=one / 2, target_prefix=one, predicted=0.75 * one, expected=one
    ... )
    >>> estimator = CascadeDR()
    >>> estimator.value(estimator.terms(rounds).sum(0))  # 2 (1 − .75) + 1
    tensor(1.5000)
    """

    @property
    def terms(self) -> ModelledSlots:
        """See `Estimator`."""
        return ModelledSlots()

    def weight(self, batch: SlateRounds) -> Float[Tensor, " n"]:
        """See `Estimator`; as in `SlateIPS`."""
        return batch.prefix.mean(-1)

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, _, surprise, expected = _apart(totals)
        return ((surprise + expected) / count).sum(-1)


@dataclass(frozen=True)
class SelfNormalisedCascadeDR(CascadeDR):
    """`Σ_k [Σ_i w_k (r_k − Q_k) / Σ_i w_k + Σ_i w_{k−1} Σ_a π(a | …) Q_k(…, a) / Σ_i w_{k−1}]`.

    Consistent where `CascadeDR` is unbiased.
    """

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, weight, surprise, expected = _apart(totals)
        before = torch.cat([count, weight[..., :-1]], -1)
        return (surprise / weight + expected / before).sum(-1)


def _apart(totals: Float[Tensor, "*R k"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    slots = (totals.shape[-1] - 1) // 3
    count, weight, surprise, expected = totals.split([1, slots, slots, slots], -1)
    return count, weight, surprise, expected
