"""A slate estimator with less variance: what is known of the weights' mean is put to use."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.slates.additive import PseudoInverse
from recsys.replay.slates.rounds import SlateRounds
from recsys.replay.slates.weights import SlateWeights


@dataclass(frozen=True)
class WeightMoments:
    """`(1, w, y, w², w y)` a slate, of `y = Σ_k w_k r_k` and `w` the mean over slots of the weights' control.

    Args:
        weights: `w_k`.
    """

    weights: SlateWeights = field(default_factory=PseudoInverse)

    def __call__(self, batch: SlateRounds) -> Float[Tensor, "n 5"]:
        """See `Terms`."""
        weights = self.weights(batch)
        weight, weighted = self.weights.control(batch, weights).mean(-1), (weights * batch.reward).sum(-1)
        return torch.stack([torch.ones_like(weight), weight, weighted, weight.square(), weight * weighted], -1)


@dataclass(frozen=True)
class ControlVariate:
    """`ȳ − β (w̄ − 1)` with `β = cov(w, y) / var(w)`, which makes the variance least; bars are means over the log.

    As `w` is 1 in expectation, what is subtracted is 0 in expectation for any fixed `β`. Consistent where `SlateIPS`
    with the same weights is unbiased; as the log chooses `β`, biased by something of the order of `1 / n`. Where all
    weights are equal `β` is 0. Source: Vlassis, Chandrashekar, Amat, Kallus 2021, "Control variates for slate
    off-policy evaluation", with one coefficient.

    Args:
        weights: `w`.

    >>> weight, reward = torch.tensor([0.5, 2.0]), torch.tensor([[2.0], [2.0]])
    >>> rounds = SlateRounds(torch.tensor([[0], [1]]), reward, pseudo_inverse=weight)
    >>> estimator = ControlVariate()
    >>> estimator.value(estimator.terms(rounds).sum(0))  # ȳ = 2.5, β = 2, w̄ = 1.25
    tensor(2.)
    """

    weights: SlateWeights = field(default_factory=PseudoInverse)

    @property
    def terms(self) -> WeightMoments:
        """See `Estimator`."""
        return WeightMoments(self.weights)

    def weight(self, batch: SlateRounds) -> Float[Tensor, " n"]:
        """See `Estimator`; as in `SlateIPS`."""
        return self.weights.control(batch, self.weights(batch)).mean(-1)

    def value(self, totals: Float[Tensor, "*R 5"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        weight, weighted, square, product = (totals[..., 1:] / totals[..., :1]).unbind(-1)
        variance = (square - weight.square()).clamp(min=torch.finfo(totals.dtype).tiny)
        return weighted - (product - weight * weighted) / variance * (weight - 1)
