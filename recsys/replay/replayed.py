"""Logs read beside policies, and summed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from recsys.data.action_log import ActionLog
from recsys.data.episode_log import EpisodeLog
from recsys.data.feedback_source import FeedbackLog
from recsys.data.slate_feedback import SlateFeedback
from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.replay.accumulate import Accumulation, accumulate
from recsys.replay.closed_form import closed_form
from recsys.replay.families import members
from recsys.replay.importance import IPS
from recsys.replay.manner import Manner, Policy
from recsys.replay.on_policy import OnPolicy
from recsys.replay.slates.fitted_tails import FittedTails, SlateRead
from recsys.replay.targets.steps import EpisodeRead
from recsys.replay.whole_log import WholeLog

PLAIN = "(weights)"
"""Under this name the weights of rounds are summed as they are, whatever the estimators make of them."""

EARNED = "(earned)"
"""Under this name what the log's own policy earned is summed."""


@dataclass(frozen=True)
class Replayed:
    """A policy beside a log, summed.

    Args:
        policy: to be judged.
        log: by which.
        found: sums of the estimators, under `EARNED` of rewards, and under `PLAIN` of rounds of one action as they are.
        estimated: whether the log's propensities were.
        earned: what the log's own policy earned.
        truth: what the policy earned on its own log; None where there is none.
    """

    policy: str
    log: str
    found: Accumulation
    estimated: bool
    earned: Interval
    truth: Interval | None = None


def replay(
    logs: Mapping[str, FeedbackLog],
    policies: Mapping[str, Policy],
    estimators: Mapping[str, Any],
    manner: Manner,
) -> list[Replayed]:
    """Every policy beside every log, its own included: what a policy earns there by its weights is known.

    Raises:
        RequestError: a policy has no log but its own, or an estimator needs what is not there, by their names.
    """
    found = []
    for policy in policies:
        if set(logs) == {policy}:
            raise RequestError(f"policy {policy!r} wrote the only log: there is no other to judge it by")
    for name, log in logs.items():
        read = _Read(name, log, manner)
        found += [read.beside(policy, made, estimators) for policy, made in policies.items()]
    truths = {one.policy: one.earned for one in found if one.policy == one.log}
    place = {policy: number for number, policy in enumerate(policies)}
    found.sort(key=lambda one: place[one.policy])
    return [replace(one, truth=truths.get(one.policy)) for one in found]


class _Read:
    """A log that is read once for each policy.

    Args:
        name: of the log.
        log: the log.
        manner: how it is read.
    """

    def __init__(self, name: str, log: FeedbackLog, manner: Manner) -> None:
        self.name = name
        self.log = log
        self.manner = manner
        self.read: Any = reader(log, manner)

    def beside(self, policy: str, made: Policy, estimators: Mapping[str, Any]) -> Replayed:
        """Summed."""
        summed, seen = dict[str, Any](), list[Any]()
        try:
            summed |= members(estimators, self.log) | {EARNED: OnPolicy()}
            if isinstance(self.log, ActionLog):
                summed[PLAIN] = IPS()
            found = accumulate(
                summed, self._batches(made, seen), bootstrap=self.manner.interval.bootstrap, total=len(self.log)
            )
            earned = closed_form(OnPolicy(), found[EARNED].sums, self.manner.confidence)
        except RequestError as error:
            raise RequestError(f"{policy} on {self.name}{_who(summed, seen)}: {error}") from error
        return Replayed(policy, self.name, found, getattr(self.log, "estimated", False), earned)

    def _batches(self, made: Policy, seen: list[Any]) -> Iterator[Any]:
        """Beside the policy; the last one is `seen`."""
        logging = (self.manner.logging or {}).get(self.name)
        beside = self.read.beside(made(self.log), None if logging is None else logging(self.log))
        for batch in self.read.batches():
            seen[:] = [beside(batch)]
            yield seen[0]


def reader(log: FeedbackLog, manner: Manner) -> WholeLog | SlateRead | EpisodeRead:
    """What reads a log of its kind.

    Raises:
        RequestError: the model is for logs of another kind.
    """
    model = manner.model
    if isinstance(log, SlateFeedback) and (model is None or isinstance(model, FittedTails)):
        return SlateRead(log, model, manner.half, manner.seed)
    if isinstance(log, ActionLog) and not isinstance(model, FittedTails):
        return WholeLog(log, model, manner.half, manner.seed)
    if isinstance(log, EpisodeLog) and model is None:
        return EpisodeRead(log, manner.half)
    raise RequestError(f"{type(model).__name__} is no model for {log.name}: {MODELS[type(log).__name__]}")


def _who(estimators: Mapping[str, Any], seen: list[Any]) -> str:
    """The first estimator that cannot read a batch, as part of a message; empty where all can."""
    for name, one in estimators.items():
        for batch in seen:
            try:
                one.terms(batch)
            except RequestError:
                return f", {name.partition('/')[0]}"
    return ""


MODELS = {
    "SlateFeedback": "it is of slates, take model=tail_means",
    "ActionLog": "it is of single actions, take model=means, model=logistic or model=ridge",
    "EpisodeLog": "it is of episodes, take model=none",
}
"""What to do where a model is for logs of another kind."""
