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
    """How a log's actions were chosen, as far as it could be learnt.

    Args:
        predict: what each fold's model has learnt.
        calibrate: what each fold's calibrator has.
        seen: how many rounds each fold's model was fitted on.
        fold: `[units]`, of each user; of each round where rounds stand alone.
        num_actions: `A`.
    """

    predict: Sequence[Predict]
    calibrate: Sequence[Calibrate]
    seen: Sequence[int]
    fold: Int[Tensor, " units"]
    num_actions: int

    def __call__(self, batch: LoggedActions) -> Float[Tensor, "n A"]:
        """`[n, A]`, `p(· | x)`, each row by the model that has seen nothing of its user; 0 at what was not offered.

        Of `m` rounds that a model was fitted on, one more is mixed in that chooses uniformly, so that nothing that
        could be chosen has probability 0.
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
    """A log whose propensities were estimated, and how far they can be trusted.

    Args:
        log: marked as estimated.
        propensities: every action's, for estimators that need them.
        calibration: of rounds by models that had not seen them.
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
    """A log with propensities that models learnt from its own choices, cross-fitted and calibrated.

    Users (episodes, or rounds where each stands alone) are dealt into folds. The propensities of a fold come from a
    model fitted on the others but one, and calibrated on that one. They are right only if everything that the logging
    policy looked at, and that matters for the reward, is in `context`: no calibration shows what is missing there.

    Args:
        log: has `context`, or else every round gets the share of its action.
        model: what learns; logistic regression where there is a context, else the shares.
        calibrator: what makes it as sure as it is right; a temperature where there is a context, else nothing.
        folds: at least 3, no more than there are users.
        most: rounds that are read into memory to learn from, drawn at random where the log has more.
        seed: of folds and of that draw.

    Raises:
        ConfigurationError: too few folds, or more than there are users.
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
    """`[n]`, the user of each round; the round itself where each stands alone."""
    return batch.request if batch.user is None else batch.user


def context_of(batch: LoggedActions) -> Float[Tensor, "n F"]:
    """`[n, F]`; `F` is 0 where the log has no context."""
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
    """Context, action and unit of up to `most` rounds, in the log's order."""
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
    """Rounds at once, so that a number for each of their actions takes some 64 MB."""
    return max(1, min(1 << 16, (1 << 23) // log.num_actions))


def _as_rounds(log: EpisodeLog) -> ActionLog:
    """Steps as rounds, episodes as users."""
    frame = log.frame.with_columns(pl.col("episode_id").alias("user_id")).drop("propensity", strict=False)
    users = distinct_ids(frame, pl.col("user_id"))
    return ActionLog(log.name, frame, log.actions, log.steps, log.fingerprint, users=users)


def _with(log: ActionLog | EpisodeLog, propensity: Float[Tensor, " rounds"]) -> ActionLog | EpisodeLog:
    rest = log.frame.drop("propensity", strict=False)
    column = pl.DataFrame({"propensity": propensity.numpy()}).lazy()
    frame = pl.concat([rest, column], how="horizontal")
    return replace(log, frame=frame, estimated=True, fingerprint=f"{log.fingerprint} estimated")
