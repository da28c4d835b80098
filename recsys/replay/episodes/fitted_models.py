"""A log of episodes with the cross-fitted value model that is fitted to it on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from recsys.data.logs.batches import LoggedActions, LoggedEpisodes
from recsys.data.logs.episodes import EpisodeLog
from recsys.errors import RequestError
from recsys.ranges import at_least
from recsys.replay.batch import in_half, take, units_of
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.targets.actions import TargetPolicy


@dataclass(frozen=True, eq=False)
class EpisodeJoin:
    """Join batches of a log of episodes with a policy that depends on the state alone.

    Args:
        log: the log.
        target: the target policy; its rounds are steps, and their `request` is the row of the log.
    """

    log: EpisodeLog
    target: TargetPolicy

    def __call__(self, batch: LoggedEpisodes) -> EpisodeBatch:
        """Return a batch of episodes joined with the target policy."""
        target = torch.zeros(batch.mask.shape, dtype=torch.float64)
        target[batch.mask] = self.target.target(self.steps(batch)).double()
        return EpisodeBatch.of(batch, target)

    def target_all(self, batch: LoggedEpisodes) -> Float[Tensor, "n T A"]:
        """Return `π(· | s_t)`; 0 after the end."""
        found = torch.zeros(*batch.mask.shape, self.log.num_actions, dtype=torch.float64)
        found[batch.mask] = self.target.target_all(self.steps(batch)).double()
        return found

    def steps(self, batch: LoggedEpisodes) -> LoggedActions:
        """Return the steps of all episodes of a batch as rounds."""
        mask = batch.mask
        return LoggedActions(
            request=(self.first[batch.episode].unsqueeze(1) + torch.arange(mask.shape[1]))[mask],
            action=batch.action[mask],
            reward=batch.reward[mask],
            propensity=batch.propensity[mask],
            context=None if batch.context is None else batch.context[mask],
        )

    @cached_property
    def first(self) -> Int[Tensor, " episodes"]:
        """Return the row of the log of each episode's first step."""
        lengths = (
            self.log.frame.select("episode_id").collect(engine="streaming")["episode_id"].rle().struct.field("len")
        )
        sizes = torch.from_numpy(lengths.cast(pl.Int64).to_numpy().copy())
        return sizes.cumsum(0) - sizes


@runtime_checkable
class ValueModel(Protocol):
    """A model of the value `q(s, a)` of actions under the target policy."""

    def __call__(self, context: Float[Tensor, "m F"]) -> Float[Tensor, "m A"]:
        """Return `q(s, ·)` of every state."""
        ...


@runtime_checkable
class ValueFit(Protocol):
    """A way to learn `q` from episodes."""

    def __call__(self, episodes: EpisodeBatch) -> ValueModel:
        """Return the model that was learnt from episodes with `action`, `context` and `target_all`.

        Raises:
            RequestError: a part is missing, or the values do not converge.
        """
        ...


def predict(model: ValueModel, episodes: EpisodeBatch) -> EpisodeBatch:
    """Return the episodes with `predicted` and `expected` of a model that has not seen them."""
    context, target, action = (episodes.need(name) for name in ("context", "target_all", "action"))
    steps = episodes.mask
    values = torch.zeros_like(target)
    values[steps] = model(context[steps]).to(values)
    taken = values.gather(2, torch.where(steps, action, 0).unsqueeze(2)).squeeze(2)
    expected = torch.where(steps, torch.linalg.vecdot(target, values), 0)
    return replace(episodes, predicted=taken, expected=expected)


def cross_fit(fit: ValueFit, episodes: EpisodeBatch, folds: int = 3, seed: int = 0) -> EpisodeBatch:
    """Return the episodes with `predicted` and `expected`, each from a model that learnt from the other folds.

    Whole episodes are dealt into folds, so that no step is predicted by a model that saw another step of its episode.

    Args:
        fit: how the model is learnt.
        episodes: episodes with `action`, `context` and `target_all`.
        folds: number of folds, at least 2 and at most the number of episodes.
        seed: seed of the folds.

    Raises:
        RequestError: there are fewer than two folds, or fewer episodes than folds.
    """
    if not 2 <= folds <= len(episodes):
        raise RequestError(f"{folds} folds of {len(episodes)} episodes: give from 2 folds to one an episode")
    deal = torch.randperm(len(episodes), generator=torch.Generator().manual_seed(seed)) % folds
    predicted, expected = torch.zeros_like(episodes.reward), torch.zeros_like(episodes.reward)
    for fold in range(folds):
        own = deal == fold
        found = predict(fit(episodes.select(~own)), episodes.select(own))
        predicted[own], expected[own] = found.need("predicted"), found.need("expected")
    return replace(episodes, predicted=predicted, expected=expected)


@dataclass(frozen=True)
class FittedValues:
    """The settings of a model of the value under the target policy, cross-fitted by episode.

    Its states are the log's contexts with one more feature, the constant 1.

    Args:
        fit: how the model is learnt, with the same discount as the estimators that use it.
        folds: number of folds, at least 2.

    Raises:
        ConfigurationError: there are fewer than two folds.
    """

    fit: ValueFit
    folds: int = 3

    def __post_init__(self) -> None:
        at_least(2, folds=self.folds)


@dataclass(frozen=True, eq=False)
class EpisodeReader:
    """Read a log of episodes in batches.

    Args:
        log: the log.
        model: the model; None where no estimator needs one.
        half: 0 or 1 to read and learn from one half of the episodes; None for all.
        seed: seed of the folds.
    """

    log: EpisodeLog
    model: FittedValues | None = None
    half: int | None = None
    seed: int = 0

    def batches(self) -> Iterator[LoggedEpisodes]:
        """Yield the episodes of the half, in order."""
        for batch in self.log.batches():
            yield batch if self.half is None else take(batch, in_half(units_of(batch), self.half))

    def join(self, target: Any, logging: Any = None) -> Callable[[LoggedEpisodes], EpisodeBatch]:
        """Return the function that joins batches of the log with a target policy.

        Args:
            target: a `TargetPolicy` that depends on the state alone, or a function that joins a batch with a policy.
            logging: ignored, because estimators read the log's propensities only.

        Raises:
            RequestError: a model needs every action's probability, which the policy does not give.
        """
        if self.model is None:
            return EpisodeJoin(self.log, target) if isinstance(target, TargetPolicy) else target
        if not isinstance(target, TargetPolicy):
            raise RequestError(f"{type(target).__name__} is no policy of single actions, which a model of values needs")
        return EpisodeValueJoin(self, self.model, EpisodeJoin(self.log, target))


@dataclass(frozen=True, eq=False)
class EpisodeValueJoin:
    """Join batches of a log of episodes with a policy and with a model of its value.

    The log is read into memory for the model.

    Args:
        reader: the log.
        model: the model of the value.
        join: joins a batch with the policy.
    """

    reader: EpisodeReader
    model: FittedValues
    join: EpisodeJoin

    def __call__(self, batch: LoggedEpisodes) -> EpisodeBatch:
        """Return a batch joined with the target policy, with `predicted` and `expected`."""
        episode, predicted, expected = self._values
        rows, steps = torch.searchsorted(episode, batch.episode), batch.mask.shape[1]
        return replace(self.join(batch), predicted=predicted[rows, :steps], expected=expected[rows, :steps])

    @cached_property
    def _values(self) -> tuple[Int[Tensor, " n"], Float[Tensor, "n T"], Float[Tensor, "n T"]]:
        """Return the numbers of all episodes and their predictions, each by a model that has not seen the episode."""
        batches = list(self.reader.batches())
        whole = EpisodeBatch.joined([self._whole(batch) for batch in batches])
        found = cross_fit(self.model.fit, whole, self.model.folds, self.reader.seed)
        return torch.cat([batch.episode for batch in batches]), found.need("predicted"), found.need("expected")

    def _whole(self, batch: LoggedEpisodes) -> EpisodeBatch:
        """Return a batch with every action's probability, and states with a constant feature."""
        episodes = self.join(batch)
        known = episodes.reward.new_zeros(*batch.mask.shape, 0) if batch.context is None else batch.context.double()
        target_all = self.join.target_all(batch)
        return replace(episodes, context=pad(known, (0, 1), value=1.0), target_all=target_all)
