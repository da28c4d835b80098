"""Episodes of a log beside a policy and a model of their values, fitted when the first of them is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from recsys.data.episode_log import EpisodeLog
from recsys.data.logged_episodes import LoggedEpisodes
from recsys.errors import ConfigurationError, RequestError
from recsys.replay.episodes.episodes import Episodes
from recsys.replay.episodes.value_model import ValueFit, cross_fit
from recsys.replay.split import in_half, take, units_of
from recsys.replay.targets.steps import StepsBeside
from recsys.replay.targets.target import Target


@dataclass(frozen=True)
class FittedValues:
    """A model of what actions are worth under the policy to be judged, cross-fitted by episodes.

    Its states are the log's contexts with one feature more, which is 1; where the log has none, that alone.

    Args:
        fit: how it is learnt; with the discount of the estimators that correct it.
        folds: 2 or more.
    """

    fit: ValueFit
    folds: int = 3

    def __post_init__(self) -> None:
        if self.folds < 2:
            raise ConfigurationError(f"folds={self.folds}: expected 2 or more")


@dataclass(frozen=True, eq=False)
class EpisodeRead:
    """A log of episodes in batches.

    Args:
        log: the log.
        model: None where no estimator needs one.
        half: of the episodes; None for all. Nothing is learnt from the other half.
        seed: of the folds.
    """

    log: EpisodeLog
    model: FittedValues | None = None
    half: int | None = None
    seed: int = 0

    def batches(self) -> Iterator[LoggedEpisodes]:
        """The episodes of the half, in order."""
        for batch in self.log.batches():
            yield batch if self.half is None else take(batch, in_half(units_of(batch), self.half))

    def beside(self, target: Any, logging: Any = None) -> Callable[[LoggedEpisodes], Episodes]:
        """Its batches beside a policy.

        Args:
            target: a `Target` that looks at the state alone, or what puts a batch beside a policy.
            logging: not looked at; the log's propensities are all that estimators read of it.

        Raises:
            RequestError: a model needs the probability of every action, which the policy does not give.
        """
        if self.model is None:
            return StepsBeside(self.log, target) if isinstance(target, Target) else target
        if not isinstance(target, Target):
            raise RequestError(f"{type(target).__name__} is no policy of single actions, which a model of values needs")
        return ValuesBeside(self, self.model, StepsBeside(self.log, target))


@dataclass(frozen=True, eq=False)
class ValuesBeside:
    """Batches of a log of episodes beside a policy, with what a model expects; the log is read into memory for it.

    Args:
        read: the log.
        model: of the values.
        beside: puts a batch beside the policy.
    """

    read: EpisodeRead
    model: FittedValues
    beside: StepsBeside

    def __call__(self, batch: LoggedEpisodes) -> Episodes:
        """With `predicted` and `expected`."""
        episode, predicted, expected = self._values
        rows, steps = torch.searchsorted(episode, batch.episode), batch.there.shape[1]
        return replace(self.beside(batch), predicted=predicted[rows, :steps], expected=expected[rows, :steps])

    @cached_property
    def _values(self) -> tuple[Int[Tensor, " n"], Float[Tensor, "n T"], Float[Tensor, "n T"]]:
        """The numbers of all episodes and what is expected of them, each by a model that has not seen it."""
        batches = list(self.read.batches())
        whole = Episodes.joined([self._whole(batch) for batch in batches])
        found = cross_fit(self.model.fit, whole, self.model.folds, self.read.seed)
        return torch.cat([batch.episode for batch in batches]), found.need("predicted"), found.need("expected")

    def _whole(self, batch: LoggedEpisodes) -> Episodes:
        """With every action's probability, and states that have a feature which is 1."""
        episodes = self.beside(batch)
        known = episodes.reward.new_zeros(*batch.there.shape, 0) if batch.context is None else batch.context.double()
        target_all = self.beside.target_all(batch)
        return replace(episodes, context=pad(known, (0, 1), value=1.0), target_all=target_all)
