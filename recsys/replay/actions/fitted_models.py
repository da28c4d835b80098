"""A log of single actions with the models that are fitted to all of it on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.batches import LoggedActions
from recsys.errors import RequestError
from recsys.replay.actions.balancing_weights import balancing_weights
from recsys.replay.actions.batch import BanditBatch, join_target
from recsys.replay.actions.doubly_robust import mrdr_sample_weight
from recsys.replay.actions.reward_model import RewardModel, cross_fitted
from recsys.replay.batch import in_half, take, units_of
from recsys.replay.targets.actions import TargetPolicy

NUMBERS = 2**24
"""Largest number of probabilities or predictions of a batch, where each action of each round has one."""

LEAST, MOST = 2**10, 2**16
"""Smallest and largest number of rounds of a batch, for any number of actions."""


@dataclass(frozen=True, eq=False)
class ActionReader:
    """Read a log of single actions in batches; a model is fitted to the whole log when an estimator first needs it.

    Args:
        log: the log.
        model: reward model; None where no estimator needs one.
        half: 0 or 1 to read and learn from one half of the users; None for all.
        seed: seed of the cross-fitting folds.
    """

    log: ActionLog
    model: RewardModel | None = None
    half: int | None = None
    seed: int = 0

    def batches(self) -> Iterator[LoggedActions]:
        """Yield the rounds of the half, in order."""
        size = max(LEAST, min(MOST, NUMBERS // self.log.num_actions))
        for batch in self.log.batches(size):
            yield batch if self.half is None else take(batch, in_half(units_of(batch), self.half))

    @cached_property
    def rounds(self) -> LoggedActions:
        """Return all rounds of the half, in memory."""
        parts = list(self.batches())
        joined = {
            name: torch.cat([getattr(part, name) for part in parts])
            for name, value in vars(parts[0]).items()
            if isinstance(value, Tensor)
        }
        return replace(parts[0], **joined)

    @cached_property
    def predicted(self) -> Float[Tensor, "m A"]:
        """Return `q(x, ·)` of every round, by models that have not seen its user."""
        assert self.model is not None
        return cross_fitted(self.model, self.rounds, self.log.num_actions, seed=self.seed)

    def join(self, target: Any, logging: Any = None) -> ActionJoin:
        """Return the function that joins batches of the log with a target policy.

        Args:
            target: the target policy.
            logging: the logging policy, where its probabilities of all actions are known.

        Raises:
            RequestError: one of them is no policy of single actions.
        """
        for one in (target, logging):
            if one is not None and not isinstance(one, TargetPolicy):
                raise RequestError(f"{type(one).__name__} is no policy of single actions: it lacks target, target_all")
        return ActionJoin(self, target, logging)

    def rows(self, batch: LoggedActions) -> Int[Tensor, " n"]:
        """Return the rows of `rounds` at which the rounds of a batch stand."""
        return torch.searchsorted(self.rounds.request, batch.request)


@dataclass(frozen=True, eq=False)
class ActionJoin:
    """Join batches of a log of single actions with a target policy.

    Args:
        reader: the log.
        target: the target policy.
        logging: the logging policy, where its probabilities of all actions are known.
    """

    reader: ActionReader
    target: TargetPolicy
    logging: TargetPolicy | None = None

    def __call__(self, batch: LoggedActions) -> BanditBatch:
        """Return a batch joined with the target policy; predictions of models are computed on demand."""
        later: dict[str, Callable[[], Tensor]] = {"estimated_weight": lambda: self.balanced[self.reader.rows(batch)]}
        if self.reader.model is not None:
            later["predicted_all"] = lambda: self.reader.predicted[self.reader.rows(batch)]
            later["mrdr_all"] = lambda: self.mrdr[self.reader.rows(batch)]
        return join_target(batch, self.target, self.logging, later)

    @cached_property
    def mrdr(self) -> Float[Tensor, "m A"]:
        """Return `q(x, ·)` of every round by models that were fitted to minimise the variance of `DR`; see `MRDR`."""
        reader = self.reader
        assert reader.model is not None
        weight = mrdr_sample_weight(join_target(reader.rounds, self.target))
        return cross_fitted(reader.model, reader.rounds, reader.log.num_actions, weight=weight, seed=reader.seed)

    @cached_property
    def balanced(self) -> Float[Tensor, " m"]:
        """Return the weight of every round learnt by classification; see `balancing_weights`."""
        rounds = self.reader.rounds
        return balancing_weights(rounds, self.target.target_all(rounds), seed=self.reader.seed)
