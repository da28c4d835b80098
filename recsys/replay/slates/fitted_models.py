"""A log of slates with the reward-to-go model that is fitted to it on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.logs.batches import LoggedSlates
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import RequestError
from recsys.ranges import above, at_least
from recsys.replay.batch import in_half, take, units_of
from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.cascade import RewardToGoMeans, with_model
from recsys.replay.slates.target import SlateTarget

NUMBERS = 2**22
"""Largest number of probabilities that are asked for at once: of each item, given slates of each item."""

LEAST, MOST = 2**8, 2**16
"""Smallest and largest number of requests of a batch, for any number of items."""


@dataclass(frozen=True)
class RewardToGoModel:
    """The settings of `RewardToGoMeans` for `CascadeDR`, cross-fitted by user, or by request where there are no users.

    Args:
        strength: pseudo-count of slates with the slot's mean, above 0.
        folds: number of folds, at least 2.

    Raises:
        ConfigurationError: a number is out of range.
    """

    strength: float = 10.0
    folds: int = 5

    def __post_init__(self) -> None:
        at_least(2, folds=self.folds)
        above(0, strength=self.strength)


@dataclass(frozen=True, eq=False)
class SlateReader:
    """Read a log of slates in batches, with a model fitted to it on demand.

    Args:
        log: the log.
        model: the model; None where no estimator needs one.
        half: 0 or 1 to read and learn from one half of the users; None for all.
        seed: seed of the folds.
    """

    log: SlateFeedbackLog
    model: RewardToGoModel | None = None
    half: int | None = None
    seed: int = 0

    def batches(self) -> Iterator[LoggedSlates]:
        """Yield the requests of the half, in order."""
        for batch in self.log.batches(max(LEAST, min(MOST, NUMBERS // self.log.num_items))):
            yield batch if self.half is None else take(batch, in_half(units_of(batch), self.half))

    @cached_property
    def fold(self) -> Int[Tensor, " units"]:
        """Return the fold of each user, or of each request where there are no users."""
        assert self.model is not None
        units = len(self.log) if self.log.users is None else len(self.log.users)
        return torch.randperm(units, generator=torch.Generator().manual_seed(self.seed)) % self.model.folds

    @cached_property
    def tails(self) -> RewardToGoMeans:
        """Return the sums of the reward-to-go model."""
        assert self.model is not None
        sizes = {"folds": self.model.folds, "num_items": self.log.num_items}
        found = [
            RewardToGoMeans.of(
                batch.items, batch.reward, self.fold[units_of(batch)], **sizes, strength=self.model.strength
            )
            for batch in self.batches()
        ]
        return sum(found[1:], found[0])

    def join(self, target: Any, logging: Any = None) -> SlateJoin:
        """Return the function that joins batches of the log with a target policy.

        Args:
            target: the target policy.
            logging: the logging policy, where more of it is known than the log says.

        Raises:
            RequestError: the policies do not say how they are joined with each other.
        """
        if logging is None:
            return SlateJoin(self, target)
        if not isinstance(logging, SlateTarget) or not hasattr(target, "written_by"):
            raise RequestError(
                f"{type(logging).__name__} wrote the log and {type(target).__name__} is the target: expected policies "
                "made by recsys.replay.targets.policies"
            )
        return SlateJoin(self, target.written_by(logging))


@dataclass(frozen=True, eq=False)
class SlateJoin:
    """Join batches of a log of slates with a target policy and, if there is one, a model.

    Args:
        reader: the log.
        target: the target policy.
    """

    reader: SlateReader
    target: Callable[[LoggedSlates], SlateBatch]

    def __call__(self, batch: LoggedSlates) -> SlateBatch:
        """Return a batch joined with the target policy; predictions of the model are computed on demand."""
        rounds = self.target(batch)
        if self.reader.model is None:
            return rounds
        known: list[SlateBatch] = []

        def part(name: str) -> Tensor:
            if not known:
                known.append(self._modelled(rounds, batch))
            return known[0].need(name)

        return replace(rounds, later={"predicted": lambda: part("predicted"), "expected": lambda: part("expected")})

    def _modelled(self, rounds: SlateBatch, batch: LoggedSlates) -> SlateBatch:
        asked = getattr(self.target, "next_probability", None)
        if asked is None:
            raise RequestError("a model of slots needs a policy that says how probable every item is: a `SlateTarget`")
        size = max(1, NUMBERS // self.reader.log.num_items**2)
        parts = [
            with_model(
                SlateBatch(rounds.items[rows], rounds.reward[rows]),
                self.reader.tails.predict(self.reader.fold[units_of(batch)[rows]]),
                asked(take(batch, rows)),
            )
            for rows in torch.arange(len(batch)).split(size)
        ]
        joined = {name: torch.cat([part.need(name) for part in parts]) for name in ("predicted", "expected")}
        return replace(rounds, **joined)
