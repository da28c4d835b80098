"""Slate estimators that reweigh the reward of each slot: IPS, self-normalised, control variate."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from recsys.replay.estimator import Estimator, Terms
from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.weights import PseudoInverse, SlateWeights, WholeSlateWeights


@dataclass(frozen=True)
class SlateImportanceTerms(Terms[SlateBatch]):
    """The terms `(1, c_1 … c_S, w_1 r_1 … w_S r_S)` of a slate, with `c` the control of the weights.

    There are `1 + 2 S` terms: all batches of a log have the same number of slots. The control is
    `SlateWeights.control`.

    Args:
        weights: `w`.
    """

    weights: SlateWeights = field(default_factory=WholeSlateWeights)

    @override
    def __call__(self, batch: SlateBatch) -> Float[Tensor, "n k"]:
        weight = self.weights(batch)
        return torch.cat(
            [torch.ones_like(weight[:, :1]), self.weights.control(batch, weight), weight * batch.reward], -1
        )


@dataclass(frozen=True)
class SlateIPS(Estimator[SlateBatch]):
    """Estimate the value of slates by inverse propensity scoring, `Σ_i Σ_k w_ik r_ik / n`.

    Unbiased under the assumption that the class of the weights states, if `p > 0` for every weighed event with `π > 0`.
    `WholeSlateWeights` give the standard estimator, `SlotWeights` the independent one, `PrefixWeights` reward
    interaction IPS, and `PseudoInverse` the pseudo-inverse estimator. The weight of a slate, for the effective sample
    size, is the mean of the control over its slots.

    Args:
        weights: `w`.

    >>> items, reward = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> logging, target = torch.tensor([[0.5, 1.0], [0.5, 1.0]]), torch.tensor([[0.75, 1.0], [0.25, 1.0]])
    >>> rounds = SlateBatch(items, reward, logging_prefix=logging, target_prefix=target)
    >>> estimator = SlateIPS()
    >>> estimator.value(estimator.terms(rounds).sum(0))  # (1.5 + .5) / 2
    tensor(1.)
    """

    weights: SlateWeights = field(default_factory=WholeSlateWeights)

    @property
    @override
    def terms(self) -> SlateImportanceTerms:
        return SlateImportanceTerms(self.weights)

    @override
    def weight(self, batch: SlateBatch) -> Float[Tensor, " n"]:
        return self.weights.control(batch, self.weights(batch)).mean(-1)

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        count, _, weighted = _apart(totals)
        return (weighted / count).sum(-1)


@dataclass(frozen=True)
class SlateSNIPS(SlateIPS):
    """Estimate the value of slates with every slot normalised by its own weights, `Σ_k (Σ_i w_ik r_ik / Σ_i c_ik)`.

    `c` is the control of the weights: `w` itself, except for `PositionBasedWeights`. Consistent where `SlateIPS` is
    unbiased; exact if each slot's reward is constant (for `PositionBasedWeights`, if rewards are `e_k` times a
    constant). Source: Swaminathan and Joachims 2015, "The self-normalized estimator for counterfactual learning"; with
    `PseudoInverse` weights Swaminathan et al. 2017 (see there).

    Args:
        weights: `w`.
    """

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        _, control, weighted = _apart(totals)
        return (weighted / control).sum(-1)


def _apart(
    totals: Float[Tensor, "*R k"],
) -> tuple[Float[Tensor, "*R 1"], Float[Tensor, "*R S"], Float[Tensor, "*R S"]]:
    slots = (totals.shape[-1] - 1) // 2
    count, control, weighted = totals.split([1, slots, slots], -1)
    return count, control, weighted


@dataclass(frozen=True)
class ControlVariateTerms(Terms[SlateBatch]):
    """The terms `(1, w, y, w², w y)` of a slate, with `y = Σ_k w_k r_k` and `w` the mean of the control over slots.

    Args:
        weights: `w_k`.
    """

    weights: SlateWeights = field(default_factory=PseudoInverse)

    @override
    def __call__(self, batch: SlateBatch) -> Float[Tensor, "n 5"]:
        weights = self.weights(batch)
        weight, weighted = self.weights.control(batch, weights).mean(-1), (weights * batch.reward).sum(-1)
        return torch.stack([torch.ones_like(weight), weight, weighted, weight.square(), weight * weighted], -1)


@dataclass(frozen=True)
class ControlVariate(Estimator[SlateBatch]):
    """Estimate the value with a control variate, `ȳ − β (w̄ − 1)` with `β = cov(w, y) / var(w)`.

    Bars are means over the log. The expectation of `w` is 1, so the subtracted term has expectation 0 for any fixed
    `β`; this `β` minimises the variance. Consistent where `SlateIPS` with the same weights is unbiased, with a bias of
    order `1 / n` because the log chooses `β`. If all weights are equal, `β` is 0. Source: Vlassis, Chandrashekar, Amat,
    Kallus 2021, "Control variates for slate off-policy evaluation", with one coefficient.

    Args:
        weights: `w`.

    >>> weight, reward = torch.tensor([0.5, 2.0]), torch.tensor([[2.0], [2.0]])
    >>> rounds = SlateBatch(torch.tensor([[0], [1]]), reward, pseudo_inverse=weight)
    >>> estimator = ControlVariate()
    >>> estimator.value(estimator.terms(rounds).sum(0))  # ȳ = 2.5, β = 2, w̄ = 1.25
    tensor(2.)
    """

    weights: SlateWeights = field(default_factory=PseudoInverse)

    @property
    @override
    def terms(self) -> ControlVariateTerms:
        return ControlVariateTerms(self.weights)

    @override
    def weight(self, batch: SlateBatch) -> Float[Tensor, " n"]:
        return self.weights.control(batch, self.weights(batch)).mean(-1)

    @override
    def value(self, totals: Float[Tensor, "*R 5"]) -> Float[Tensor, "*R"]:
        weight, weighted, square, product = (totals[..., 1:] / totals[..., :1]).unbind(-1)
        variance = (square - weight.square()).clamp(min=torch.finfo(totals.dtype).tiny)
        return weighted - (product - weight * weighted) / variance * (weight - 1)
