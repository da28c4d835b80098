"""Estimators that weigh what each slot earned: inverse propensities, and normalised slot by slot."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.slates.rounds import SlateRounds
from recsys.replay.slates.weights import SlateWeights, Whole


@dataclass(frozen=True)
class WeightedSlots:
    """`(1, c_1 … c_S, w_1 r_1 … w_S r_S)` a slate, with `c` the weights' control: `w` itself but for `PositionBased`.

    Args:
        weights: `w`.
    """

    weights: SlateWeights = field(default_factory=Whole)

    def __call__(self, batch: SlateRounds) -> Float[Tensor, "n k"]:
        """See `Terms`; `k = 1 + 2 S`, so that batches of one log have the same number of slots."""
        weight = self.weights(batch)
        return torch.cat(
            [torch.ones_like(weight[:, :1]), self.weights.control(batch, weight), weight * batch.reward], -1
        )


@dataclass(frozen=True)
class SlateIPS:
    """`Σ_i Σ_k w_ik r_ik / n`, inverse propensity scoring of slates.

    Unbiased under the assumption that its weights name, where `p > 0` for everything they weigh that `π` does. With
    `Whole` weights the standard one, with `Slot` the independent one, with `Prefix` reward interaction, with
    `PseudoInverse` the pseudo-inverse estimator, with `Relevant` the adaptive one, with `Abstract` latent IPS.

    Args:
        weights: `w`.

    >>> items, reward = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> logging, target = torch.tensor([[0.5, 1.0], [0.5, 1.0]]), torch.tensor([[0.75, 1.0], [0.25, 1.0]])
    >>> rounds = SlateRounds(items, reward, logging_prefix=logging, target_prefix=target)
    >>> estimator = SlateIPS()
    >>> estimator.value(estimator.terms(rounds).sum(0))  # (1.5 + .5) / 2
    tensor(1.)
    """

    weights: SlateWeights = field(default_factory=Whole)

    @property
    def terms(self) -> WeightedSlots:
        """See `Estimator`."""
        return WeightedSlots(self.weights)

    def weight(self, batch: SlateRounds) -> Float[Tensor, " n"]:
        """See `Estimator`: the mean over slots, how much a slate counts whose slots earn alike."""
        return self.weights.control(batch, self.weights(batch)).mean(-1)

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        count, _, weighted = _apart(totals)
        return (weighted / count).sum(-1)


@dataclass(frozen=True)
class SlateSNIPS(SlateIPS):
    """`Σ_k (Σ_i w_ik r_ik / Σ_i c_ik)`, self-normalised slot by slot: exact where each slot's reward is constant.

    `c` is the weights' control, `w` itself but for `PositionBased`, which is exact where rewards are `e_k` times one.
    Consistent where `SlateIPS` is unbiased. Source: Swaminathan and Joachims 2015, "The self-normalized estimator for
    counterfactual learning"; with `PseudoInverse` weights Swaminathan et al. 2017 (see there).

    Args:
        weights: `w`.
    """

    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        _, control, weighted = _apart(totals)
        return (weighted / control).sum(-1)


def _apart(
    totals: Float[Tensor, "*R k"],
) -> tuple[Float[Tensor, "*R 1"], Float[Tensor, "*R S"], Float[Tensor, "*R S"]]:
    slots = (totals.shape[-1] - 1) // 2
    count, control, weighted = totals.split([1, slots, slots], -1)
    return count, control, weighted
