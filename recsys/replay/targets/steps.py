"""Policies of single actions, judged on the steps of episodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl
import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.episode_log import EpisodeLog
from recsys.data.logged_actions import LoggedActions
from recsys.data.logged_episodes import LoggedEpisodes
from recsys.replay.episodes.episodes import Episodes
from recsys.replay.split import in_half, take, units_of
from recsys.replay.targets.target import Target


@dataclass(frozen=True, eq=False)
class EpisodeRead:
    """A log of episodes in batches.

    Args:
        log: the log.
        half: of the episodes; None for all.
    """

    log: EpisodeLog
    half: int | None = None

    def batches(self) -> Iterator[LoggedEpisodes]:
        """The episodes of the half, in order."""
        for batch in self.log.batches():
            yield batch if self.half is None else take(batch, in_half(units_of(batch), self.half))

    def beside(self, target: Any, logging: Any = None) -> Callable[[LoggedEpisodes], Episodes]:
        """Its batches beside a policy.

        Args:
            target: a `Target` that looks at the state alone, or what puts a batch beside a policy.
            logging: not looked at; the log's propensities are all that estimators read of it.
        """
        return StepsBeside(self.log, target) if isinstance(target, Target) else target


@dataclass(frozen=True, eq=False)
class StepsBeside:
    """Batches of a log of episodes beside a policy that looks at the state alone.

    Args:
        log: of episodes.
        target: probabilities of actions; a round is a step, its `request` the row of the log that it is.
    """

    log: EpisodeLog
    target: Target

    def __call__(self, batch: LoggedEpisodes) -> Episodes:
        """The episodes as sequential estimators read them."""
        there = batch.there
        steps = LoggedActions(
            request=(self.first[batch.episode].unsqueeze(1) + torch.arange(there.shape[1]))[there],
            action=batch.action[there],
            reward=batch.reward[there],
            propensity=batch.propensity[there],
            context=None if batch.context is None else batch.context[there],
        )
        target = torch.zeros(there.shape, dtype=torch.float64)
        target[there] = self.target.target(steps)
        return Episodes.of(batch, target)

    @cached_property
    def first(self) -> Int[Tensor, " episodes"]:
        """Row of each episode's first step."""
        lengths = (
            self.log.frame.select("episode_id").collect(engine="streaming")["episode_id"].rle().struct.field("len")
        )
        sizes = torch.from_numpy(lengths.cast(pl.Int64).to_numpy().copy())
        return sizes.cumsum(0) - sizes
