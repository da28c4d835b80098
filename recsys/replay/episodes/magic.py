"""MAGIC: a blend of importance-sampling and model returns of several horizons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import nnls
from torch import Tensor
from typing_extensions import override

from recsys.errors import RequestError
from recsys.ranges import at_least, between, within
from recsys.replay.episodes.batch import powers
from recsys.replay.episodes.doubly_robust import SequentialStepTerms, WeightedDoublyRobust, step_values
from recsys.replay.episodes.importance import EpisodeEstimator
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums


def returns(totals: Float[Tensor, "*R k"], horizon: int, discount: float) -> Float[Tensor, "*R J"]:
    """Return `J = T + 1` estimates: the `j`-th uses weighted DR for `j` steps and the model from there on.

    The first is the direct method, the last `WeightedDoublyRobust`.

    Args:
        totals: sums of `SequentialStepTerms`.
        horizon: `T`.
        discount: `γ`.
    """
    factor = powers(discount, horizon).to(totals)
    expected, surprise = (part * factor for part in step_values(totals, horizon))
    model = expected.cumsum(-1)
    later = torch.cat([model, model[..., -1:]], -1)
    return later + torch.cat([torch.zeros_like(model[..., :1]), surprise.cumsum(-1)], -1)


@dataclass(frozen=True)
class BlendedReturns(EpisodeEstimator):
    """Estimate the value by a fixed mixture of `returns`, `Σ_j x_j g_j`.

    Args:
        shares: `x`, `T + 1` numbers of at least 0 that sum to 1.
        discount: `γ`, in [0, 1], the same as the model's.
    """

    shares: tuple[float, ...]
    discount: float = 1.0

    @property
    @override
    def terms(self) -> SequentialStepTerms:
        return SequentialStepTerms(len(self.shares) - 1)

    @override
    def value(self, totals: Float[Tensor, "*R k"]) -> Float[Tensor, "*R"]:
        return returns(totals, len(self.shares) - 1, self.discount) @ totals.new_tensor(self.shares)


@dataclass(frozen=True)
class MAGIC(EpisodeEstimator):
    """Estimate the value by the best mixture of `returns` (model and guided importance sampling combined).

    The mixture `x` has the least `xᵀ (Ω + b bᵀ) x`. `Ω` is the covariance of the returns by the delta method (the paper
    keeps the normalisers fixed). `b_j` is the distance of a return from the interval of the last one, which is
    consistent: a lower bound of the model's bias. Consistent where `WeightedDoublyRobust` is, since its interval
    shrinks to the value.

    A model whose error is smaller than that interval is trusted. The error may then exceed that of
    `WeightedDoublyRobust`, and an interval of the mixture, which ignores the bias, covers too rarely: in the test world
    28 % of the time instead of 95 %, with a model 10 % too high and 500 episodes. So the mixture has no interval;
    report that of `WeightedDoublyRobust` beside it.

    The mixture depends on how the returns vary together, while a value is a function of totals alone. It therefore
    takes two steps: `choose` reads totals and products and returns a `BlendedReturns`, which is an estimator like
    others.

    Source: Thomas and Brunskill 2016, "Data-efficient off-policy policy evaluation for reinforcement learning".

    Args:
        horizon: at least the number of steps of the longest episode.
        discount: `γ`, in [0, 1], the same as the model's.
        confidence: level of the interval that bounds the bias, in (0, 1).
    """

    horizon: int
    discount: float = 1.0
    confidence: float = 0.9

    def __post_init__(self) -> None:
        at_least(1, horizon=self.horizon)
        within(0, 1, discount=self.discount)
        between(0, 1, confidence=self.confidence)

    @property
    @override
    def terms(self) -> SequentialStepTerms:
        return SequentialStepTerms(self.horizon)

    def choose(self, sums: Sums) -> BlendedReturns:
        """Return the best mixture from sums of the terms; with fewer than two episodes, the last return alone.

        Raises:
            RequestError: at some step no episode has a weight.
        """
        if sums.units < 2:
            return BlendedReturns((*[0.0] * self.horizon, 1.0), self.discount)
        found = returns(sums.totals, self.horizon, self.discount)
        if not found.isfinite().all():
            step = int((~found.isfinite()).nonzero()[0]) - 1
            raise RequestError(
                f"at step {step} the target policy takes none of the actions of the log: "
                "give a shorter horizon and shorter episodes, or a log with more of its actions"
            )
        slopes = torch.func.jacrev(lambda totals: returns(totals, self.horizon, self.discount))(sums.totals)
        covariance = slopes @ sums.products @ slopes.T * sums.units / (sums.units - 1)
        interval = closed_form(WeightedDoublyRobust(self.horizon, self.discount), sums, self.confidence)
        bias = found - found.clamp(interval.low, interval.high)
        shares = least_on_simplex((covariance + torch.outer(bias, bias)).numpy(force=True))
        return BlendedReturns(tuple(shares.tolist()), self.discount)


def least_on_simplex(matrix: np.ndarray) -> np.ndarray:
    """Return `argmin xᵀ M x` subject to `x ≥ 0` and `Σ x = 1`, exactly.

    Up to scale it is the minimum of `xᵀ M x − 2 Σ x` with `x ≥ 0`, a non-negative least squares problem. A ridge of
    1e-10 of the mean of the diagonal decides between mixtures that are equally good.

    Args:
        matrix: `M`, `[J, J]`, symmetric and positive semidefinite.

    >>> least_on_simplex(np.diag([1.0, 3.0]))
    array([0.75, 0.25])
    """
    scale = np.trace(matrix) / len(matrix)
    if scale == 0:
        return np.full(len(matrix), 1 / len(matrix))
    root = np.linalg.cholesky(matrix / scale + 1e-10 * np.eye(len(matrix)))
    shares, _ = nnls(root.T, np.linalg.solve(root, np.ones(len(matrix))))
    return shares / shares.sum()
