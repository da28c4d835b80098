"""A log of episodes, read in batches, and the checks of its table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl
import torch
from torch import Tensor

from recsys.data.logs.actions import action_rules
from recsys.data.logs.batches import LoggedEpisodes, LogWithActions
from recsys.data.logs.log_checks import checked_rows, null_rule
from recsys.data.tables.row_checks import FindRow, RowRule, check_rows
from recsys.data.tables.tensors import BATCH_ROWS, distinct_ids, pad_rows, row_batches, to_float64, to_matrix
from recsys.errors import RequestError

READ = ("episode_id", "action", "reward", "propensity", "context")
"""Columns of the table that become parts of `LoggedEpisodes`."""

ROWS = BATCH_ROWS
"""Steps that are read at once."""

EPISODES = 1 << 10
"""Default number of episodes of a batch."""


@dataclass(frozen=True, eq=False)
class EpisodeLog(LogWithActions):
    """A log of episodes; its rows are checked, and read when they are needed.

    Args:
        name: name of the log in reports.
        frame: one row a step, the steps of an episode together and in order: `episode_id`, `step`, `action`, `reward`,
            and the other columns of `recsys.data.tables.canonical.TRAJECTORIES`.
        actions: table of the possible actions, whose rows are their indices: `action` (raw ids, ascending) and any
            feature.
        episodes: number of episodes.
        steps: number of steps of all episodes.
        fingerprint: changes whenever the content of the log does.
        estimated: whether `propensity` was estimated instead of logged.
        summary: counts of what was found, and of the rows left out, by reason.
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
        """Yield the episodes in order, up to `size` at once, each batch as wide as its longest episode.

        Memory depends on `size` and the longest episode, not on the log.

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
        """Yield the steps of up to `size` whole episodes at once."""
        kept: list[pl.DataFrame] = []
        there = [name for name in READ if name in self.columns]
        for _, part in row_batches(self.frame.select(there), ROWS):
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
            """Return one value a step as `[n, width]`."""
            return pad_rows(values, lengths, width, fill)

        context = None
        if "context" in rows.columns:
            features = to_matrix(rows["context"]).unbind(1)
            context = torch.stack([padded(feature, 0.0) for feature in features], -1)
        return LoggedEpisodes(
            episode=torch.arange(start, start + len(lengths)),
            action=padded(self.ids.indices(rows["action"]), 0),
            reward=padded(to_float64(rows["reward"]), 0.0),
            propensity=padded(to_float64(rows["propensity"]), 1.0),
            mask=torch.arange(width) < lengths.unsqueeze(1),
            context=context,
        )


STEP_MESSAGE = (
    "does not follow the step before it, expected each next step once: add what is missing or drop the episode"
)
FIRST_STEP_MESSAGE = (
    "is where its episode begins, expected the log's first step: add what is missing or drop the episode"
)


def episode_log(
    frame: pl.LazyFrame,
    find: FindRow,
    *,
    name: str,
    fingerprint: str,
    actions: pl.DataFrame | None = None,
    excluding: bool = False,
) -> EpisodeLog:
    """Return the log of a table whose columns have the right types, after its rows were checked.

    A table whose episodes stand one after the other, with ascending steps, is read in parts; another is sorted in
    memory.

    Args:
        frame: one row a step, columns as in `recsys.data.tables.canonical.TRAJECTORIES`.
        find: finds the first faulty row.
        name: name of the log in reports.
        fingerprint: changes whenever the table does.
        actions: table of the possible actions, `action` and features; None for the actions of the log.
        excluding: leave out whole episodes with a faulty step and count them, instead of refusing the table.

    Raises:
        DataError: a step is faulty and episodes are not left out, or no episode is left.
    """
    known = None if actions is None else actions["action"]
    nulls = [null_rule("episode_id"), null_rule("step")]
    check_rows(frame, nulls, find)
    in_order = _in_order(frame)
    rules = action_rules(frame, known) + _step_rules(frame, in_order)
    frame = frame if in_order else frame.sort("episode_id", "step")
    if excluding:
        rules = [
            RowRule(rule.column, rule.broken.fill_null(False).any().over("episode_id"), rule.text) for rule in rules
        ]
    frame, rows, counts = checked_rows(frame, rules, find, name, excluding)
    if actions is None:
        actions = distinct_ids(frame, pl.col("action")).alias("action").to_frame()
    episodes = frame.select(pl.col("episode_id").n_unique()).collect(engine="streaming").item()
    return EpisodeLog(
        name=name,
        frame=frame,
        actions=actions.sort("action"),
        episodes=episodes,
        steps=rows,
        fingerprint=fingerprint,
        summary={"episodes": episodes, "steps": rows, "actions": len(actions)} | counts,
    )


def _in_order(frame: pl.LazyFrame) -> bool:
    """Return whether the steps of each episode stand together and ascend."""
    episode, step = pl.col("episode_id"), pl.col("step")
    begins = episode.ne_missing(episode.shift())
    facts = frame.select(
        (begins.sum() == episode.n_unique()).alias("together"),
        (begins | (step > step.shift())).all().alias("rising"),
    )
    return all(facts.collect(engine="streaming").row(0))


def _step_rules(frame: pl.LazyFrame, in_order: bool) -> list[RowRule]:
    """Return the rules for steps; where rows are in order, they compare neighbouring rows only, which is cheaper."""
    episode, step = pl.col("episode_id"), pl.col("step").cast(pl.Int64)
    before = step.shift().over("episode_id", order_by="step")
    after = step.shift(-1).over("episode_id", order_by="step")
    if in_order:
        before = pl.when(episode == episode.shift()).then(step.shift())
        after = pl.when(episode == episode.shift(-1)).then(step.shift(-1))
    rules = [
        RowRule("step", (step != before + 1).fill_null(False), STEP_MESSAGE),
        RowRule("step", before.is_null() & (step != step.min()), FIRST_STEP_MESSAGE),
    ]
    if "done" in frame.collect_schema().names():
        ended = pl.col("done").cast(pl.Boolean) & after.is_not_null()
        rules.append(RowRule("done", ended, "ends the episode before its last step: split it, or mend `done`"))
    return rules
