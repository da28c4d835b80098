"""A log of episodes as estimators read it: in parts, from wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl
import torch
from torch import Tensor

from recsys.data.logged_episodes import LoggedEpisodes
from recsys.data.logged_table import LoggedChoices
from recsys.data.stream import SIZE, flush_left, matrix, numbers, parts
from recsys.errors import RequestError

READ = ("episode_id", "action", "reward", "propensity", "context")
"""Columns of the table that become parts of `LoggedEpisodes`."""

ROWS = SIZE
"""Steps read at once."""

EPISODES = 1 << 10
"""Episodes of a batch, where nothing else is asked for."""


@dataclass(frozen=True, eq=False)
class EpisodeLog(LoggedChoices):
    """Episodes, checked and not yet read.

    Args:
        name: what reports call the log.
        frame: one row a step, the steps of an episode together and in order: `episode_id`, `step`, `action`, `reward`,
            and what else `recsys.data.schema.TRAJECTORIES` names.
        actions: what can be chosen, the rows being the indices: `action` (raw ids, rising) and any feature.
        episodes: how many.
        steps: how many, of all episodes.
        fingerprint: changes whenever the log's content does.
        estimated: whether `propensity` was estimated instead of logged.
        summary: counts of what was found, and of rows left out, by reason.
    """

    name: str
    frame: pl.LazyFrame
    actions: pl.DataFrame
    episodes: int
    steps: int
    fingerprint: str
    estimated: bool = False
    summary: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.episodes

    def batches(self, size: int = EPISODES) -> Iterator[LoggedEpisodes]:
        """The episodes in order, up to `size` at once, each batch as wide as its longest episode.

        Memory grows with `size` and the longest episode, not with the log.

        Raises:
            RequestError: the log has no propensities.
        """
        if "propensity" not in self.columns:
            raise RequestError(
                f"{self.name}: no column 'propensity': log it, or estimate it (log.propensities=estimated)"
            )
        start = 0
        for whole in self._whole(size):
            yield self._batch(start, whole)
            start += whole["episode_id"].rle().len()

    def _whole(self, size: int) -> Iterator[pl.DataFrame]:
        """Steps of up to `size` episodes at once, never a part of one."""
        kept: list[pl.DataFrame] = []
        there = [name for name in READ if name in self.columns]
        for _, part in parts(self.frame.select(there), ROWS):
            kept.append(part)
            if part["episode_id"][0] == part["episode_id"][-1] and len(kept) == 1:
                continue
            rows = pl.concat(kept)
            ends = rows["episode_id"].rle().struct.field("len").cum_sum().to_list()
            done = 0
            for last in range(size, len(ends), size):
                yield rows[done : ends[last - 1]]
                done = ends[last - 1]
            kept = [rows[done:]]
        if kept:
            yield pl.concat(kept)

    def _batch(self, start: int, rows: pl.DataFrame) -> LoggedEpisodes:
        lengths = torch.tensor(rows["episode_id"].rle().struct.field("len").to_list())
        width = int(lengths.max())

        def padded(values: Tensor, fill: float) -> Tensor:
            """`[n, width]`, of one value a step."""
            return flush_left(values, lengths, width, fill)

        context = None
        if "context" in rows.columns:
            features = matrix(rows["context"]).unbind(1)
            context = torch.stack([padded(feature, 0.0) for feature in features], -1)
        return LoggedEpisodes(
            episode=torch.arange(start, start + len(lengths)),
            action=padded(self.ids.indices(rows["action"]), 0),
            reward=padded(numbers(rows["reward"]), 0.0),
            propensity=padded(numbers(rows["propensity"]), 1.0),
            there=torch.arange(width) < lengths.unsqueeze(1),
            context=context,
        )
