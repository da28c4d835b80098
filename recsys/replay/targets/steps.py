"""Policies of single actions, judged on the steps of episodes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.episode_log import EpisodeLog
from recsys.data.logged_actions import LoggedActions
from recsys.data.logged_episodes import LoggedEpisodes
from recsys.replay.episodes.episodes import Episodes
from recsys.replay.targets.target import Target


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
        target = torch.zeros(batch.there.shape, dtype=torch.float64)
        target[batch.there] = self.target.target(self.steps(batch)).double()
        return Episodes.of(batch, target)

    def target_all(self, batch: LoggedEpisodes) -> Float[Tensor, "n T A"]:
        """`π(· | s_t)`; 0 after the end."""
        found = torch.zeros(*batch.there.shape, self.log.num_actions, dtype=torch.float64)
        found[batch.there] = self.target.target_all(self.steps(batch)).double()
        return found

    def steps(self, batch: LoggedEpisodes) -> LoggedActions:
        """The steps that there are, one a round."""
        there = batch.there
        return LoggedActions(
            request=(self.first[batch.episode].unsqueeze(1) + torch.arange(there.shape[1]))[there],
            action=batch.action[there],
            reward=batch.reward[there],
            propensity=batch.propensity[there],
            context=None if batch.context is None else batch.context[there],
        )

    @cached_property
    def first(self) -> Int[Tensor, " episodes"]:
        """Row of each episode's first step."""
        lengths = (
            self.log.frame.select("episode_id").collect(engine="streaming")["episode_id"].rle().struct.field("len")
        )
        sizes = torch.from_numpy(lengths.cast(pl.Int64).to_numpy().copy())
        return sizes.cumsum(0) - sizes
