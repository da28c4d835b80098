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
    """`(1, c_1 … c_S, w_1 r_1 … w_S r_S)` a slate, `c` the weights' control: `w` but for `PositionBasedWeights`.

    Args:
        weights: `w`.
    """

    weights: SlateWeights = field(default_factory=WholeSlateWeights)

    def __call__(self, batch: SlateBatch) -> Float[Tensor, "n k"]:
        """See `Terms`; `k = 1 + 2 S`, so that batches of one log have the same number of slots."""
        weight = self.weights(batch)
        return torch.cat(
            [torch.ones_like(weight[:, :1]), self.weights.control(batch, weight), weight * batch.reward], -1
        )


@dataclass(frozen=True)
class SlateIPS(Estimator[SlateBatch]):
    """`Σ_i Σ_k w_ik r_ik / n`, inverse propensity scoring of slates.

    Unbiased under the assumption that its weights name, where `p > 0` for everything they weigh that `π` does. With
    `WholeSlateWeights` the standard one, with `SlotWeights` the independent one, with `PrefixWeights` reward
    interaction, with `PseudoInverse` the pseudo-inverse estimator.

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
        """See `Estimator`: the mean over slots, how much a slate counts whose slots earn alike."""
        return self.weights.control(batch, self.weights(batch)).mean(-1)

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        count, _, weighted = _apart(totals)
        return (weighted / count).sum(-1)


@dataclass(frozen=True)
class SlateSNIPS(SlateIPS):
    """`Σ_k (Σ_i w_ik r_ik / Σ_i c_ik)`, self-normalised slot by slot: exact where each slot's reward is constant.

    `c` is the weights' control, `w` itself but for `PositionBasedWeights`, which is exact where rewards are `e_k` times
    one. Consistent where `SlateIPS` is unbiased. Source: Swaminathan and Joachims 2015, "The self-normalized estimator
    for counterfactual learning"; with `PseudoInverse` weights Swaminathan et al. 2017 (see there).

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
    """`(1, w, y, w², w y)` a slate, of `y = Σ_k w_k r_k` and `w` the mean over slots of the weights' control.

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
    """`ȳ − β (w̄ − 1)` with `β = cov(w, y) / var(w)`, which makes the variance least; bars are means over the log.

    As `w` is 1 in expectation, what is subtracted is 0 in expectation for any fixed `β`. Consistent where `SlateIPS`
    with the same weights is unbiased; as the log chooses `β`, biased by something of the order of `1 / n`. Where all
    weights are equal `β` is 0. Source: Vlassis, Chandrashekar, Amat, Kallus 2021, "Control variates for slate
    off-policy evaluation", with one coefficient.

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
        """See `Estimator`; as in `SlateIPS`."""
        return self.weights.control(batch, self.weights(batch)).mean(-1)

    @override
    def value(self, totals: Float[Tensor, "*R 5"]) -> Float[Tensor, "*R"]:
        weight, weighted, square, product = (totals[..., 1:] / totals[..., :1]).unbind(-1)
        variance = (square - weight.square()).clamp(min=torch.finfo(totals.dtype).tiny)
        return weighted - (product - weight * weighted) / variance * (weight - 1)
