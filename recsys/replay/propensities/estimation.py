"""Estimate a log's propensities from its own choices, cross-fitted and calibrated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.batches import LoggedActions
from recsys.data.logs.episodes import EpisodeLog
from recsys.data.tables.tensors import distinct_ids
from recsys.errors import ConfigurationError
from recsys.replay.propensities.calibration import (
    Calibrate,
    Calibrator,
    PropensityCalibration,
    TemperatureCalibrator,
    Uncalibrated,
)
from recsys.replay.propensities.models import FrequencyPropensity, LogisticPropensity, Predict, PropensityModel
from recsys.replay.targets.actions import TargetPolicy


@dataclass(frozen=True, eq=False)
class Propensities(TargetPolicy):
    """The estimated policy that wrote a log, made of one model for each fold of users.

    Args:
        predict: learnt model of each fold.
        calibrate: learnt calibrator of each fold.
        seen: number of rounds that each fold's model was fitted to.
        fold: `[units]`, fold of each user, or of each round where rounds have no users.
        num_actions: `A`.
    """

    predict: Sequence[Predict]
    calibrate: Sequence[Calibrate]
    seen: Sequence[int]
    fold: Int[Tensor, " units"]
    num_actions: int

    def __call__(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """Return `p(· | x)` of each round, by the model that has not seen its user; 0 at actions that were not offered.

        A model that was fitted to `m` rounds is mixed with one round of a uniform policy, so that no possible action
        has probability 0.
        """
        context, fold = context_of(batch), self.fold[unit_of(batch)]
        found = torch.zeros(len(batch), self.num_actions, dtype=torch.float64)
        uniform = torch.ones_like(found) if batch.candidates is None else batch.candidates.double()
        uniform = uniform / uniform.sum(1, keepdim=True)
        for number, seen in enumerate(self.seen):
            rows = (fold == number).nonzero().squeeze(1)
            if len(rows):
                raw = self.calibrate[number](self.predict[number](context[rows])) * (uniform[rows] > 0)
                known = raw.sum(1, keepdim=True)
                raw = torch.where(known > 0, raw / known, uniform[rows])
                found[rows] = (seen * raw + uniform[rows]) / (seen + 1)
        return found

    def target(self, batch: LoggedActions) -> Float[Tensor, " n"]:
        """`[n]`, of what was chosen: with `target_all` they are a `TargetPolicy`, the policy that wrote the log."""
        return self(batch).gather(1, batch.action.unsqueeze(1)).squeeze(1)

    def target_all(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """`[n, A]`, as the call."""
        return self(batch)


@dataclass(frozen=True, eq=False)
class EstimatedPropensities:
    """A log with estimated propensities, and how well they agree with its choices.

    Args:
        log: the log, marked as estimated.
        propensities: the estimated policy, which knows every action's probability.
        calibration: agreement with the log, each round by a model that has not seen it.
    """

    log: ActionLog | EpisodeLog
    propensities: Propensities
    calibration: PropensityCalibration


def estimate_propensities(
    log: ActionLog | EpisodeLog,
    model: PropensityModel | None = None,
    calibrator: Calibrator | None = None,
    *,
    folds: int = 5,
    most: int = 200_000,
    seed: int = 0,
) -> EstimatedPropensities:
    """Estimate the propensities of a log from its own choices, cross-fitted and calibrated.

    Users (episodes, or rounds where there are no users) are dealt into folds. The propensities of a fold come from a
    model that was fitted to all other folds but one, and calibrated on that one. They are right only if `context`
    contains everything that the logging policy looked at and that matters for the reward; no calibration shows what is
    missing.

    Args:
        log: the log; without `context`, every round gets the share of its action.
        model: model of the choices; None for logistic regression where there is a context, else shares.
        calibrator: calibrator of the model; None for a temperature where there is a context, else none.
        folds: number of folds, at least 3 and at most the number of users.
        most: largest number of rounds that are read into memory to learn from, sampled where the log has more.
        seed: seed of the folds and of that sample.

    Returns:
        The log with its new propensities, the estimated policy, and its calibration.

    Raises:
        ConfigurationError: there are too few folds, or more than users.
    """
    rounds = log if isinstance(log, ActionLog) else _as_rounds(log)
    units = len(rounds) if rounds.users is None else len(rounds.users)
    if not 3 <= folds <= units:
        raise ConfigurationError(f"folds = {folds}, expected 3 to {units:,}, the number of users of {log.name}")
    generator = torch.Generator().manual_seed(seed)
    fold = (torch.randperm(units, generator=generator) % folds).to(torch.int16)
    known = "context" in rounds.columns
    model = model or (LogisticPropensity() if known else FrequencyPropensity())
    calibrator = calibrator or (TemperatureCalibrator() if known else Uncalibrated())
    propensities = _fitted(_sample(rounds, most, generator), fold, folds, rounds.num_actions, model, calibrator)
    chosen, calibration = torch.empty(len(rounds), dtype=torch.float64), PropensityCalibration()
    for batch in rounds.batches(_size(rounds)):
        found = propensities(batch)
        calibration.add_all(found, batch.action, batch.candidates)
        chosen[batch.request] = found.gather(1, batch.action.unsqueeze(1)).squeeze(1)
    return EstimatedPropensities(_with(log, chosen), propensities, calibration)


def unit_of(batch: LoggedActions) -> Int[Tensor, " n"]:
    """Return the user of each round; the round itself where rounds have no users."""
    return batch.request if batch.user is None else batch.user


def context_of(batch: LoggedActions) -> Float[Tensor, "n F"]:
    """Return the context of each round, `[n, F]`; `F` is 0 where the log has none."""
    return batch.reward.new_zeros(len(batch), 0) if batch.context is None else batch.context


def _fitted(
    sample: tuple[Tensor, Tensor, Tensor],
    fold: Int[Tensor, " units"],
    folds: int,
    num_actions: int,
    model: PropensityModel,
    calibrator: Calibrator,
) -> Propensities:
    context, action, unit = sample
    own, predict, calibrate, seen = fold[unit], [], [], []
    for number in range(folds):
        held = own == (number + 1) % folds
        learnt = (own != number) & ~held
        predict.append(model.fit(context[learnt], action[learnt], num_actions))
        calibrate.append(calibrator.fit(predict[-1](context[held]), action[held]))
        seen.append(int(learnt.sum()))
    return Propensities(predict, calibrate, seen, fold, num_actions)


def _sample(log: ActionLog, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Return context, action and unit of at most `most` rounds, in the log's order."""
    taken = torch.ones(len(log), dtype=torch.bool)
    if len(log) > most:
        taken = torch.zeros_like(taken)
        taken[torch.randperm(len(log), generator=generator)[:most]] = True
    parts = []
    for batch in log.batches(_size(log)):
        rows = taken[batch.request]
        parts.append((context_of(batch)[rows], batch.action[rows], unit_of(batch)[rows]))
    context, action, unit = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
    return context, action, unit


def _size(log: ActionLog) -> int:
    """Return the number of rounds of a batch, such that one number for each of their actions takes some 64 MB."""
    return max(1, min(1 << 16, (1 << 23) // log.num_actions))


def _as_rounds(log: EpisodeLog) -> ActionLog:
    """Return the steps of a log of episodes as rounds, with the episodes as users."""
    frame = log.frame.with_columns(pl.col("episode_id").alias("user_id")).drop("propensity", strict=False)
    users = distinct_ids(frame, pl.col("user_id"))
    return ActionLog(log.name, frame, log.actions, log.steps, log.fingerprint, users=users)


def _with(log: ActionLog | EpisodeLog, propensity: Float[Tensor, " rounds"]) -> ActionLog | EpisodeLog:
    rest = log.frame.drop("propensity", strict=False)
    column = pl.DataFrame({"propensity": propensity.numpy()}).lazy()
    frame = pl.concat([rest, column], how="horizontal")
    return replace(log, frame=frame, estimated=True, fingerprint=f"{log.fingerprint} estimated")
