"""Cascade doubly robust estimators of slates, and the reward-to-go model that they correct."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.errors import RequestError
from recsys.policies.policy import Policy
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.slates.batch import SlateBatch
from recsys.types.context import Context
from recsys.types.slates import Slates


def with_model(
    rounds: SlateBatch, predicted: Float[Tensor, "n S N"], target_next: Float[Tensor, "n S N"]
) -> SlateBatch:
    """Return the batch with `Q_k` of the logged items, and its mean under the target policy.

    Args:
        rounds: batch with at least the items.
        predicted: `Q_k(x, s_1 … s_{k−1}, a)` for every item `a`, by a model that has not seen the slate's rewards.
        target_next: `π(a | x, s_1 … s_{k−1})`, from `next_probability`, or the table of a policy that factorises.

    >>> rounds = SlateBatch(torch.tensor([[1]]), torch.ones(1, 1))
    >>> found = with_model(rounds, torch.tensor([[[0.2, 0.6]]]), torch.tensor([[[0.75, 0.25]]]))
    >>> found.predicted, found.expected
    (tensor([[0.6000]]), tensor([[0.3000]]))
    """
    own = predicted.gather(2, rounds.items.clamp(min=0).unsqueeze(2)).squeeze(2)
    expected = torch.linalg.vecdot(predicted, target_next.to(predicted))
    return replace(rounds, predicted=own * rounds.filled, expected=expected * rounds.filled)


@torch.no_grad()
def next_probability(
    policy: Policy, context: Context, items: Int[Tensor, "n S"], num_items: int
) -> Float[Tensor, "n S N"]:
    """Return `π(a | x, s_1 … s_{k−1})` of every item at every slot, given the logged slots before it; 0 in empty slots.

    Memory grows with `n N S` numbers, beside what the policy needs to score `N` slates a request.
    """
    rows, slots = items.shape
    every = torch.arange(num_items, device=items.device).view(1, num_items, 1).expand(rows, -1, -1)
    found = []
    for slot in range(slots):
        slates = torch.cat([items[:, :slot].unsqueeze(1).expand(-1, num_items, -1), every], 2)
        log_prob = policy.log_prob(context, Slates(slates, torch.zeros_like(slates, dtype=torch.float32)))
        found.append(log_prob[..., slot].double().exp())
    return torch.where((items >= 0).unsqueeze(2), torch.stack(found, 1), 0.0)


@dataclass(frozen=True)
class RewardToGoMeans:
    """Predict the reward of a slot and all later slots by its mean over slates with the same item in that slot.

    It is a simple `Q_k`: the value under the logging policy, independent of earlier slots. A mean is shrunk towards the
    slot's mean. The predictions for a row come from the other folds (cross-fitting). The model is made of sums, so that
    parts of a log merge.

    Args:
        count: `[F, S, N]`, number of slates of each fold with the item in the slot.
        total: `[F, S, N]`, sum of the rewards of these slots and all later ones.
        strength: pseudo-count of slates with the slot's mean, above 0.

    >>> items, reward = torch.tensor([[0, 1], [0, 1], [1, 0]]), torch.tensor([[2.0, 1.0], [0.0, 0.0], [4.0, 0.0]])
    >>> model = RewardToGoMeans.of(items, reward, torch.tensor([0, 1, 1]), folds=2, num_items=2)
    >>> model.predict(torch.tensor([0]))[0, 0]  # of rows 1 and 2: (0 + 2) / 2 and (4 + 2) / 2
    tensor([1., 3.], dtype=torch.float64)
    """

    count: Float[Tensor, "F S N"]
    total: Float[Tensor, "F S N"]
    strength: float = 1.0

    @classmethod
    def of(
        cls,
        items: Int[Tensor, "n S"],
        reward: Float[Tensor, "n S"],
        fold: Int[Tensor, " n"],
        *,
        folds: int,
        num_items: int,
        strength: float = 1.0,
    ) -> RewardToGoMeans:
        """Return the sums of logged slates; all rows of a user belong to one fold.

        Args:
            items: logged slates, −1 in empty slots.
            reward: reward of each slot.
            fold: fold of each row.
            folds: number of folds.
            num_items: `N`.
            strength: pseudo-count of slates with the slot's mean.

        Raises:
            RequestError: there are fewer than two folds.
        """
        if folds < 2:
            raise RequestError(f"{folds} folds: expected at least 2, so that no row is predicted from itself")
        slots = items.shape[1]
        filled = items >= 0
        cell = ((fold.unsqueeze(1) * slots + torch.arange(slots, device=items.device)) * num_items + items)[filled]
        tail = reward.double().flip(-1).cumsum(-1).flip(-1)[filled]
        empty = tail.new_zeros(folds * slots * num_items)
        count, total = (empty.index_add(0, cell, values) for values in (torch.ones_like(tail), tail))
        return cls(count.view(folds, slots, num_items), total.view(folds, slots, num_items), strength)

    def __add__(self, other: RewardToGoMeans) -> RewardToGoMeans:
        return RewardToGoMeans(self.count + other.count, self.total + other.total, self.strength)

    def predict(self, fold: Int[Tensor, " n"]) -> Float[Tensor, "n S N"]:
        """Return `Q_k` of every item for rows of these folds; 0 at slots that no other fold has filled."""
        count, total = (sums.sum(0) - sums for sums in (self.count, self.total))
        mean = total.sum(-1, keepdim=True) / count.sum(-1, keepdim=True).clamp(min=1)
        return ((total + self.strength * mean) / (count + self.strength))[fold]


@dataclass(frozen=True)
class CascadeTerms(Terms[SlateBatch]):
    """The terms `(1, w_k, w_k (r_k − Q_k), w_{k−1} Σ_a π(a | x, s_1 … s_{k−1}) Q_k(…, a))` of a slate, for each `k`.

    `w_k` is the importance weight of the prefix up to slot `k`, `w_0 = 1`; there are `1 + 3 S` terms.
    """

    @override
    def __call__(self, batch: SlateBatch) -> Float[Tensor, "n k"]:
        batch.need_rewards_by_slot()
        weight, one = batch.prefix_ratio, torch.ones_like(batch.reward[:, :1])
        before = torch.cat([one, weight[:, :-1]], -1)
        surprise = weight * (batch.reward - batch.need("predicted") * batch.filled)
        return torch.cat([one, weight, surprise, before * batch.need("expected") * batch.filled], -1)


@dataclass(frozen=True)
class CascadeDR(Estimator[SlateBatch]):
    """Estimate the value by cascade-DR.

    The estimate is `Σ_i Σ_k [w_k (r_k − Q_k) + w_{k−1} Σ_a π(a | x, s_1 … s_{k−1}) Q_k(x, s_1 … s_{k−1}, a)] / n`, with
    `w_k` the importance weight of the prefix up to slot `k`. Unbiased in a cascade, where the reward of a slot depends
    on its item and the items before it, for any `Q` that has not seen the slate. The variance is smaller the nearer
    `Q_k` is to the reward of slot `k` and later slots under `π`. With `Q = 0` it is `SlateIPS` with `PrefixWeights`.
    Source: Kiyohara, Saito, Matsuhiro, Narita, Shimizu, Yamamoto 2022, "Doubly robust off-policy evaluation for ranking
    policies under the cascade behavior model".

    >>> one = torch.ones(1, 1)
    >>> rounds = SlateBatch(
    ...     torch.tensor([[0]]), one, logging_prefix=one / 2, target_prefix=one, predicted=0.75 * one, expected=one
    ... )
    >>> estimator = CascadeDR()
    >>> estimator.value(estimator.terms(rounds).sum(0))  # 2 (1 − .75) + 1
    tensor(1.5000)
    """

    @property
    @override
    def terms(self) -> CascadeTerms:
        return CascadeTerms()

    @override
    def weight(self, batch: SlateBatch) -> Float[Tensor, " n"]:
        return batch.prefix_ratio.mean(-1)

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        count, _, surprise, expected = _apart(totals)
        return ((surprise + expected) / count).sum(-1)


@dataclass(frozen=True)
class SelfNormalisedCascadeDR(CascadeDR):
    """Estimate the value by cascade-DR with every slot normalised by its own weights.

    The estimate is `Σ_k [Σ_i w_k (r_k − Q_k) / Σ_i w_k + Σ_i w_{k−1} Σ_a π(a | …) Q_k(…, a) / Σ_i w_{k−1}]`. Consistent
    where `CascadeDR` is unbiased.
    """

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        count, weight, surprise, expected = _apart(totals)
        before = torch.cat([count, weight[..., :-1]], -1)
        return (surprise / weight + expected / before).sum(-1)


def _apart(totals: Float[Tensor, "*R k"]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    slots = (totals.shape[-1] - 1) // 3
    count, weight, surprise, expected = totals.split([1, slots, slots, slots], -1)
    return count, weight, surprise, expected
