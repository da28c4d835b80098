"""What policies would have earned on logs: every estimate with its interval, and what it is to be trusted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.action_log import ActionLog
from recsys.data.feedback_source import FeedbackLog
from recsys.data.logged_actions import LoggedActions
from recsys.errors import RequestError
from recsys.metrics.intervals import Interval
from recsys.replay.accumulate import Accumulation, accumulate
from recsys.replay.closed_form import closed_form
from recsys.replay.families import members, resolved
from recsys.replay.importance import IPS
from recsys.replay.interval import ClosedForm, IntervalOf
from recsys.replay.judge import judge
from recsys.replay.on_policy import OnPolicy
from recsys.replay.reward_model import RewardModel, cross_fitted
from recsys.replay.split import in_half, take, units_of
from recsys.replay.trust import Limits, no_answer
from recsys.replay.weight_summary import WeightSummary

Beside = Callable[[Any], Any]
"""A batch of a log → the same beside a policy, as estimators read it."""

Policy = Callable[[Any], Any]
"""A log → a `Target` where rounds have one action, else a `Beside`."""

PLAIN = "weights"
"""Under this name the weights of rounds are summed as they are, whatever the estimators make of them."""

SCHEMA = {
    "policy": pl.String,
    "log": pl.String,
    "estimator": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rounds": pl.Int64,
    "effective_sample_size": pl.Float64,
    "max_weight": pl.Float64,
    "doubt": pl.String,
    "chosen": pl.String,
    "estimated": pl.Boolean,
    "truth": pl.Float64,
    "truth_low": pl.Float64,
    "truth_high": pl.Float64,
    "relative_error": pl.Float64,
}
"""Columns of the answer."""


@dataclass(frozen=True)
class Manner:
    """How a log is read and what is said of it.

    Args:
        interval: around each estimate.
        confidence: of the intervals, in (0, 1).
        limits: when a log does not answer.
        model: learns what actions earn, for estimators that need it; the log is then read into memory. None for none.
        logging: the policies that wrote the logs, by the logs' names, where every action's probability is needed.
        half: 0 or 1, the half of the users (rounds, where there are none) that is read; None for all.
        seed: of the folds that the model is fitted in.
    """

    interval: IntervalOf = field(default_factory=ClosedForm)
    confidence: float = 0.95
    limits: Limits = field(default_factory=Limits)
    model: RewardModel | None = None
    logging: Mapping[str, Policy] | None = None
    half: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Replayed:
    """A policy beside a log, summed.

    Args:
        policy: to be judged.
        log: by which.
        found: sums of the estimators, and under `PLAIN` of rounds as they are.
        estimated: whether the log's propensities were.
        truth: what the policy earned on its own log; None where there is none.
    """

    policy: str
    log: str
    found: Accumulation
    estimated: bool
    truth: Interval | None


def evaluate(
    logs: Mapping[str, FeedbackLog],
    policies: Mapping[str, Policy],
    estimators: Mapping[str, Any],
    manner: Manner | None = None,
) -> pl.DataFrame:
    """Every policy from every log but its own, by every estimator: one row each, columns as in `SCHEMA`.

    A log that bears a policy's name was written by it: it gives the truth, which the policy's estimates from the other
    logs are compared with (`relative_error`). `doubt` says why a log does not answer, and is empty where it does: the
    figures are there all the same. `chosen` says which estimator a `Slope` or `MAGIC` chose.

    Logs are read in batches, once for each policy, in bounded memory unless a model is fitted.

    Args:
        logs: by name; rounds of one action, slates or episodes.
        policies: to be judged, by name.
        estimators: by name.
        manner: how; None for the defaults.

    Raises:
        RequestError: a policy has no log but its own, or an estimator needs what is not there.
    """
    manner = manner or Manner()
    replayed = [one for one in replay(logs, policies, estimators, manner) if one.log != one.policy]
    return estimates(replayed, estimators, manner)


def replay(
    logs: Mapping[str, FeedbackLog],
    policies: Mapping[str, Policy],
    estimators: Mapping[str, Any],
    manner: Manner,
) -> list[Replayed]:
    """Every policy beside every log, its own included: what a policy earns there by its weights is known.

    Raises:
        RequestError: as `evaluate`.
    """
    truths = {name: on_policy(logs[name], manner) for name in policies if name in logs}
    models = {name: _predictions(log, manner) for name, log in logs.items()}
    found = []
    for policy, made in policies.items():
        if set(logs) == {policy}:
            raise RequestError(f"policy {policy!r} wrote the only log: there is no other to judge it by")
        for name, log in logs.items():
            beside = _beside(log, made, models[name], (manner.logging or {}).get(name))
            summed = _summed(log, policy, beside, estimators, manner)
            found.append(Replayed(policy, name, summed, getattr(log, "estimated", False), truths.get(policy)))
    return found


def estimates(replayed: Sequence[Replayed], estimators: Mapping[str, Any], manner: Manner) -> pl.DataFrame:
    """See `evaluate`.

    Args:
        replayed: with sums of the estimators.
        estimators: all that were summed, or some.
        manner: how.
    """
    rows: list[dict[str, Any]] = []
    for one in replayed:
        for name, estimator in estimators.items():
            own = {"policy": one.policy, "log": one.log, "estimator": name, "estimated": one.estimated}
            cells = _cells(name, estimator, one.found, manner)
            rows.append(own | cells | _compared(cells["value"], one.truth))
    return pl.DataFrame(rows, schema=SCHEMA)


def on_policy(log: FeedbackLog, manner: Manner) -> Interval:
    """What the policy that wrote a log earned, a round."""
    found = accumulate({"": OnPolicy()}, _batches(log, manner.half), total=len(log))
    return closed_form(OnPolicy(), found[""].sums, manner.confidence)


def _summed(
    log: FeedbackLog, policy: str, beside: Beside, estimators: Mapping[str, Any], manner: Manner
) -> Accumulation:
    summed = members(estimators) | ({PLAIN: IPS()} if isinstance(log, ActionLog) else {})
    batches = (beside(batch) for batch in _batches(log, manner.half))
    try:
        return accumulate(summed, batches, bootstrap=manner.interval.bootstrap, total=len(log))
    except RequestError as error:
        raise RequestError(f"{policy} on {log.name}: {error}") from error


def _cells(name: str, one: Any, found: Accumulation, manner: Manner) -> dict[str, Any]:
    """What is said of one estimate."""
    answer = resolved(name, one, found)
    weights = answer.summed.weights
    interval = manner.interval(answer.estimator, answer.summed, manner.confidence)
    shown = interval if answer.sure else Interval(interval.value)
    return {
        **shown.to_dict(),
        "rounds": found.rows,
        "effective_sample_size": weights.effective,
        "max_weight": weights.largest,
        "doubt": _doubt(weights, found, manner.limits),
        "chosen": answer.chosen,
    }


def _doubt(weights: WeightSummary, found: Accumulation, limits: Limits) -> str:
    """By an estimator's own weights; where rounds have one action, by plain ones for what the log does not show."""
    if PLAIN not in found.weights:
        return no_answer(weights, limits)
    unweighted = weights.largest == 1 and weights.effective == weights.rows
    size = no_answer(weights, limits, whole=False)
    return size or ("" if unweighted else no_answer(found[PLAIN].weights, replace(limits, effective_sample_size=0)))


def _compared(value: float, truth: Interval | None) -> dict[str, Any]:
    if truth is None:
        return {}
    error = abs(value - truth.value) / abs(truth.value) if truth.value else None
    return {"truth": truth.value, "truth_low": truth.low, "truth_high": truth.high, "relative_error": error}


def _beside(log: FeedbackLog, made: Policy, predicted: Tensor | None, logging: Policy | None) -> Beside:
    target = made(log)
    if not isinstance(log, ActionLog):
        return target
    written = None if logging is None else logging(log)
    return lambda batch: judge(batch, target, written, None if predicted is None else predicted[batch.request])


def _batches(log: FeedbackLog, half: int | None) -> Iterator[Any]:
    for batch in log.batches():
        yield batch if half is None else take(batch, in_half(units_of(batch), half))


def _predictions(log: FeedbackLog, manner: Manner) -> Float[Tensor, "n A"] | None:
    if manner.model is None or not isinstance(log, ActionLog):
        return None
    return cross_fitted(manner.model, whole(log), log.num_actions, seed=manner.seed)


def whole(log: ActionLog) -> LoggedActions:
    """All rounds of a log, in memory."""
    parts = list(log.batches())
    first = parts[0]
    joined = {
        name: torch.cat([getattr(part, name) for part in parts])
        for name, value in vars(first).items()
        if isinstance(value, Tensor)
    }
    return replace(first, **joined)
