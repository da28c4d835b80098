"""Read each log, join each target policy to it and sum every estimator."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.episodes import EpisodeLog
from recsys.data.logs.feedback_source import FeedbackLog
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.replay.accumulate import Accumulation, accumulate
from recsys.replay.actions.fitted_models import ActionReader
from recsys.replay.actions.importance import MeanWeight
from recsys.replay.batch import take
from recsys.replay.episodes.fitted_models import EpisodeReader, FittedValues
from recsys.replay.estimator import Estimator, OnPolicy
from recsys.replay.estimator_selection import EstimatorLike, members
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.options import ReplayOptions, TargetFactory
from recsys.replay.slates.fitted_models import RewardToGoModel, SlateReader

logger = logging.getLogger(__name__)

PLAIN = "(weights)"
"""Under this name the weights of single actions are summed as they are, whatever the estimators make of them."""

FEW = 2
"""Rows that show whether an estimator can read a log."""

ON_POLICY = "(on policy)"
"""Under this name what the log's own policy earned is summed."""


@dataclass(frozen=True)
class ReplayRun:
    """A log joined with a policy, summed.

    Args:
        policy: to be judged.
        log: by which.
        found: sums of the estimators, under `ON_POLICY` of rewards, and under `PLAIN` of rounds of one action as they
            are.
        estimated: whether the log's propensities were.
        on_policy_value: what the log's own policy earned.
        truth: what the policy earned on its own log; None where there is none.
    """

    policy: str
    log: str
    found: Accumulation
    estimated: bool
    on_policy_value: Interval
    truth: Interval | None = None


def replay(
    logs: Mapping[str, FeedbackLog],
    policies: Mapping[str, TargetFactory],
    estimators: Mapping[str, EstimatorLike],
    options: ReplayOptions,
    further: Mapping[str, Any] | None = None,
    own: bool = False,
) -> list[ReplayRun]:
    """Every policy on every log but its own, which gives the truth.

    Args:
        logs: by name.
        policies: to be judged, by name.
        estimators: by name.
        options: how.
        further: other estimators, by name, of which no replicates are summed.
        own: whether policies are joined with their own logs too, where what they earn by their weights is known. One
            that an estimator cannot be had for there is left out.

    Raises:
        RequestError: a policy has no log but its own, or an estimator needs what is not there, by their names.
    """
    for policy in policies:
        if set(logs) == {policy}:
            raise RequestError(f"policy {policy!r} wrote the only log: it needs the log of another policy")
    reads = {name: _Read(name, log, options) for name, log in logs.items()}
    found = []
    for policy, made in policies.items():
        truth = reads[policy].on_policy_value() if policy in reads else None
        for name, read in reads.items():
            if name != policy:
                found.append(replace(read.join(policy, made, estimators, further or {}), truth=truth))
            elif own:
                try:
                    found.append(replace(read.join(policy, made, estimators, further or {}), truth=truth))
                except RequestError as error:
                    logger.info("no placebo: %s", error)
    return found


class _Read:
    """A log that is read once for each policy.

    Args:
        name: of the log.
        log: the log.
        options: how it is read.
    """

    def __init__(self, name: str, log: FeedbackLog, options: ReplayOptions) -> None:
        self.name = name
        self.log = log
        self.options = options
        self.read: Any = reader(log, options)

    def on_policy_value(self) -> Interval:
        """What the policy that wrote the log did earn."""
        with naming(self.name):
            found = accumulate({ON_POLICY: OnPolicy()}, self.read.batches(), total=len(self.log))
            return closed_form(OnPolicy(), found[ON_POLICY].sums, self.options.confidence)

    def join(
        self, policy: str, made: TargetFactory, estimators: Mapping[str, EstimatorLike], further: Mapping[str, Any]
    ) -> ReplayRun:
        """Summed."""
        where = f"{policy} on {self.name}"
        further = {**further, ON_POLICY: OnPolicy()} | (
            {PLAIN: MeanWeight()} if isinstance(self.log, ActionLog) else {}
        )
        with naming(where):
            summed = {**members(estimators, self.log), **further}
            writer = (self.options.logging or {}).get(self.name)
            join = self.read.join(made(self.log), None if writer is None else writer(self.log))
            few = next((join(take(batch, torch.arange(min(FEW, len(batch))))) for batch in self.read.batches()), None)
        for name, one in summed.items():
            with naming(f"{where}, {name.partition('/')[0]}"):
                require_fit(one, few)
        with naming(where):
            batches, bootstrap = map(join, self.read.batches()), self.options.interval.resampling
            found = accumulate(summed, batches, bootstrap=bootstrap, without_replicates=further, total=len(self.log))
            on_policy = closed_form(OnPolicy(), found[ON_POLICY].sums, self.options.confidence)
        return ReplayRun(policy, self.name, found, getattr(self.log, "estimated", False), on_policy)


@contextmanager
def naming(where: str) -> Iterator[None]:
    """Refusals inside say where they were.

    Raises:
        RequestError: as it was, after `where`.
    """
    try:
        yield
    except RequestError as error:
        raise RequestError(f"{where}: {error}") from error


def require_fit(estimator: Estimator[Any], rows: Any) -> None:
    """Refuse an estimator that cannot read a log before the log is read.

    Args:
        estimator: any.
        rows: a few rows of the log joined with a policy.

    Raises:
        RequestError: it needs what is not there, or is for logs of another kind.
    """
    try:
        fits = estimator.terms(rows).ndim == 2
    except (AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise RequestError(f"this estimator is for logs of another kind, not for {_kind(rows)} ({reason})") from error
    if not fits:
        raise RequestError(f"this estimator is for logs of another kind, not for {_kind(rows)}")


def _kind(rows: Any) -> str:
    return KINDS.get(type(rows).__name__, type(rows).__name__)


KINDS = {"BanditBatch": "single actions", "SlateBatch": "slates", "EpisodeBatch": "episodes"}
"""What batches are called in messages."""


def reader(log: FeedbackLog, options: ReplayOptions) -> ActionReader | SlateReader | EpisodeReader:
    """What reads a log of its kind.

    Raises:
        RequestError: the model is for logs of another kind.
    """
    model, half, seed = options.model, options.half, options.seed
    if isinstance(log, SlateFeedbackLog) and isinstance(model, RewardToGoModel | None):
        return SlateReader(log, model, half, seed)
    if isinstance(log, EpisodeLog) and isinstance(model, FittedValues | None):
        return EpisodeReader(log, model, half, seed)
    if isinstance(log, ActionLog) and not isinstance(model, RewardToGoModel | FittedValues):
        return ActionReader(log, model, half, seed)
    raise RequestError(f"{type(model).__name__} is no model for {log.name}: {MODELS[type(log).__name__]}")


MODELS = {
    "SlateFeedbackLog": "it is of slates, take model=reward_to_go",
    "ActionLog": "it is of single actions, take model=means, model=logistic or model=ridge",
    "EpisodeLog": "it is of episodes, take model=fitted_q",
}
"""What to do where a model is for logs of another kind."""
