"""A log of single actions with the models that are fitted to all of it on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

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
"""How many numbers a batch may have where each action of each round has one."""

LEAST, MOST = 2**10, 2**16
"""Rounds of a batch, however many actions there are."""


@dataclass(frozen=True, eq=False)
class ActionReader:
    """A log, and what is learnt from all of it when an estimator first needs it; the log is then read into memory.

    Args:
        log: the log.
        model: learns what actions earn; None where nothing does.
        half: of the users; None for all. Nothing is learnt from the other half.
        seed: of the folds that models are fitted in.
    """

    log: ActionLog
    model: RewardModel | None = None
    half: int | None = None
    seed: int = 0

    def batches(self) -> Iterator[LoggedActions]:
        """The rounds of the half, in order."""
        size = max(LEAST, min(MOST, NUMBERS // self.log.num_actions))
        for batch in self.log.batches(size):
            yield batch if self.half is None else take(batch, in_half(units_of(batch), self.half))

    @cached_property
    def rounds(self) -> LoggedActions:
        """All of them."""
        parts = list(self.batches())
        joined = {
            name: torch.cat([getattr(part, name) for part in parts])
            for name, value in vars(parts[0]).items()
            if isinstance(value, Tensor)
        }
        return replace(parts[0], **joined)

    @cached_property
    def predicted(self) -> Float[Tensor, "m A"]:
        """Of every action in every round, by models that have not seen its user."""
        assert self.model is not None
        return cross_fitted(self.model, self.rounds, self.log.num_actions, seed=self.seed)

    def join(self, target: Any, logging: Any = None) -> ActionJoin:
        """Its batches joined with a policy.

        Args:
            target: the target policy.
            logging: the policy that wrote the log, where it is known beyond the logged actions.

        Raises:
            RequestError: one is no policy of single actions.
        """
        for one in (target, logging):
            if one is not None and not isinstance(one, TargetPolicy):
                raise RequestError(f"{type(one).__name__} is no policy of single actions: it lacks target, target_all")
        return ActionJoin(self, target, logging)

    def rows(self, batch: LoggedActions) -> Int[Tensor, " n"]:
        """Where the rounds of a batch stand in `rounds`."""
        return torch.searchsorted(self.rounds.request, batch.request)


@dataclass(frozen=True, eq=False)
class ActionJoin:
    """Batches of a log of single actions joined with a policy.

    Args:
        reader: the log.
        target: the target policy.
        logging: the policy that wrote the log, where it is known beyond the logged actions.
    """

    reader: ActionReader
    target: TargetPolicy
    logging: TargetPolicy | None = None

    def __call__(self, batch: LoggedActions) -> BanditBatch:
        """Return a batch of the log joined with the target policy; what models predict is computed on demand."""
        later: dict[str, Callable[[], Tensor]] = {"estimated_weight": lambda: self.balanced[self.reader.rows(batch)]}
        if self.reader.model is not None:
            later["predicted_all"] = lambda: self.reader.predicted[self.reader.rows(batch)]
            later["mrdr_all"] = lambda: self.mrdr[self.reader.rows(batch)]
        return join_target(batch, self.target, self.logging, later)

    @cached_property
    def mrdr(self) -> Float[Tensor, "m A"]:
        """As `ActionReader.predicted`, of models fitted for little variance of `DR` for this policy: see `MRDR`."""
        reader = self.reader
        assert reader.model is not None
        weight = mrdr_sample_weight(join_target(reader.rounds, self.target))
        return cross_fitted(reader.model, reader.rounds, reader.log.num_actions, weight=weight, seed=reader.seed)

    @cached_property
    @override
    def balanced(self) -> Float[Tensor, " m"]:
        rounds = self.reader.rounds
        return balancing_weights(rounds, self.target.target_all(rounds), seed=self.reader.seed)
