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
from recsys.errors import ConfigurationError, RequestError
from recsys.replay.batch import in_half, take, units_of
from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.cascade import RewardToGoMeans, with_model
from recsys.replay.slates.target import SlateTarget

NUMBERS = 2**22
"""How many probabilities are asked for at once: of each item, given slates of each item."""

LEAST, MOST = 2**8, 2**16
"""Requests of a batch, however many items there are."""


@dataclass(frozen=True)
class RewardToGoModel:
    """`RewardToGoMeans`, cross-fitted by users (requests, where there are none): for `CascadeDR`.

    Args:
        strength: of the pull towards the slot's mean, in slates; above 0.
        folds: 2 or more.
    """

    strength: float = 10.0
    folds: int = 5

    def __post_init__(self) -> None:
        if self.strength <= 0 or self.folds < 2:
            raise ConfigurationError(
                f"strength={self.strength}, folds={self.folds}: expected a strength above 0 and 2 folds or more"
            )


@dataclass(frozen=True, eq=False)
class SlateReader:
    """A log of slates in batches, and a model fitted to it.

    Args:
        log: the log.
        model: None where no estimator needs one.
        half: of the users; None for all.
        seed: of the folds.
    """

    log: SlateFeedbackLog
    model: RewardToGoModel | None = None
    half: int | None = None
    seed: int = 0

    def batches(self) -> Iterator[LoggedSlates]:
        """The requests of the half, in order."""
        for batch in self.log.batches(max(LEAST, min(MOST, NUMBERS // self.log.num_items))):
            yield batch if self.half is None else take(batch, in_half(units_of(batch), self.half))

    @cached_property
    def fold(self) -> Int[Tensor, " units"]:
        """Of each user, or request."""
        assert self.model is not None
        units = len(self.log) if self.log.users is None else len(self.log.users)
        return torch.randperm(units, generator=torch.Generator().manual_seed(self.seed)) % self.model.folds

    @cached_property
    def tails(self) -> RewardToGoMeans:
        """What each fold says of slots and items."""
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
        """Its batches joined with a policy.

        Args:
            target: the target policy.
            logging: the policy that wrote the log, where it is known beyond the logged slates.

        Raises:
            RequestError: the one cannot be joined with the other.
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
    """Batches of a log of slates joined with a policy and, where there is one, a model.

    Args:
        reader: the log.
        target: the target policy.
    """

    reader: SlateReader
    target: Callable[[LoggedSlates], SlateBatch]

    def __call__(self, batch: LoggedSlates) -> SlateBatch:
        """Return a batch of the log joined with the target policy; what the model predicts is computed on demand."""
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
