"""Read each log, join each target policy with it, and sum every estimator."""

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
"""Name of the plain importance weights of single actions in an accumulation."""

FEW = 2
"""Number of rows on which estimators are tried before a log is read."""

ON_POLICY = "(on policy)"
"""Name of the on-policy value in an accumulation."""


@dataclass(frozen=True)
class ReplayRun:
    """The sums of every estimator over one log joined with one target policy.

    Args:
        policy: name of the target policy.
        log: name of the log.
        found: sums of the estimators, of the on-policy value (`ON_POLICY`) and, for single actions, of the plain
            weights (`PLAIN`).
        estimated: whether the log's propensities were estimated.
        on_policy_value: mean reward of the log, with its interval.
        truth: mean reward of the target policy's own log, with its interval; None where it has none.
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
    """Sum every estimator over every log joined with every target policy.

    A log with the name of a policy was written by it: it gives the policy's on-policy value.

    Args:
        logs: logs by name.
        policies: target policies by name.
        estimators: estimators by name.
        options: options of the replay.
        further: further estimators by name, which are not resampled.
        own: whether policies are also joined with their own logs; a combination that an estimator cannot read is left
            out.

    Raises:
        RequestError: a policy has no log but its own, or an estimator needs a part that is missing; the message names
            policy, log and estimator.
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
        name: name of the log.
        log: the log.
        options: options of the replay.
    """

    def __init__(self, name: str, log: FeedbackLog, options: ReplayOptions) -> None:
        self.name = name
        self.log = log
        self.options = options
        self.read: Any = reader(log, options)

    def on_policy_value(self) -> Interval:
        """Return the mean reward of the log with its interval."""
        with naming(self.name):
            found = accumulate({ON_POLICY: OnPolicy()}, self.read.batches(), total=len(self.log))
            return closed_form(OnPolicy(), found[ON_POLICY].sums, self.options.confidence)

    def join(
        self, policy: str, made: TargetFactory, estimators: Mapping[str, EstimatorLike], further: Mapping[str, Any]
    ) -> ReplayRun:
        """Return the sums of all estimators over the log joined with a policy."""
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
    """Prefix the message of every `RequestError` raised inside with a place, such as "uniform on old, dr".

    Raises:
        RequestError: the error raised inside, with the prefix.
    """
    try:
        yield
    except RequestError as error:
        raise RequestError(f"{where}: {error}") from error


def require_fit(estimator: Estimator[Any], rows: Any) -> None:
    """Raise an error if an estimator cannot read a log; a few rows decide before the log is read.

    Args:
        estimator: the estimator.
        rows: a few rows of the log joined with a policy.

    Raises:
        RequestError: the estimator needs a missing part, or reads logs of another kind.
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
"""What the kinds of batches are called in messages, by the name of the class."""


def reader(log: FeedbackLog, options: ReplayOptions) -> ActionReader | SlateReader | EpisodeReader:
    """Return the reader for a kind of log, with the options' model.

    Raises:
        RequestError: the model is for another kind of log.
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
"""What a message advises where a model is for another kind of log."""
