"""Replay by rejection: the rounds in which the policy would have done what the log did."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.rounds import Rounds


@dataclass(frozen=True)
class Matched:
    """`(m, m r)` a round, with `m = π(a | x)` the chance that the policy does what was logged."""

    def __call__(self, batch: Rounds) -> Float[Tensor, "n 2"]:
        """See `Terms`."""
        _require_uniform(batch)
        return torch.stack([batch.target, batch.target * batch.reward], -1)


@dataclass(frozen=True)
class Replay:
    """`Σ m r / Σ m`, the mean reward of the rounds in which the policy agrees with the log.

    For logs of uniformly chosen actions and nothing else: the propensity must be the same in every round. For a policy
    that always answers alike `m` is 1 or 0, and the value is unbiased given that a round matches. For one that draws
    `m` is its probability of the logged action, the mean over draws in place of a single one; consistent then. Logs
    with other propensities are weighed, not matched; see `SNIPS`. Source: Li, Chu, Langford, Wang 2011, "Unbiased
    offline evaluation of contextual-bandit-based news article recommendation algorithms".

    >>> rounds = Rounds(*map(torch.tensor, ([0, 1, 1], [1.0, 0.0, 1.0], [0.5, 0.5, 0.5], [0.0, 1.0, 1.0])))
    >>> Replay().value(Replay().terms(rounds).sum(0))  # rounds 1 and 2
    tensor(0.5000)
    """

    @property
    def terms(self) -> Matched:
        """See `Estimator`."""
        return Matched()

    def weight(self, batch: Rounds) -> Float[Tensor, " n"]:
        """See `Estimator`."""
        return batch.target

    def value(self, totals: Float[Tensor, "*R 2"]) -> Float[Tensor, "*R"]:
        """See `Estimator`."""
        matches, earned = totals.unbind(-1)
        return earned / matches


def _require_uniform(batch: Rounds) -> None:
    """Raise where the propensities of a batch are not those of an even draw."""
    if not len(batch):
        return
    low, high = float(batch.logging.min()), float(batch.logging.max())
    if high - low > 1e-6 * high:
        raise RequestError(
            f"replay by rejection needs actions logged uniformly, and propensities go from {low:g} to {high:g}; "
            "weigh the rounds instead, with `recsys.replay.importance.SNIPS`"
        )
    every = batch.target_all if batch.logging_all is None else batch.logging_all
    if every is not None and abs(high * every.shape[1] - 1) > 1e-6:
        raise RequestError(
            f"replay by rejection needs actions logged uniformly, and {every.shape[1]} actions have propensities of "
            f"{high:g}; weigh the rounds instead, with `recsys.replay.importance.SNIPS`"
        )
