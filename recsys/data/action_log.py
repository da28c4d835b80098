"""A log of single actions as estimators read it: in parts, from wherever it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import polars as pl
import torch
from jaxtyping import Bool
from torch import Tensor

from recsys.data.logged_actions import LoggedActions
from recsys.data.logged_table import LoggedChoices, LoggedUsers
from recsys.data.raw_ids import RawIds
from recsys.data.stream import SIZE, lengths, matrix, numbers, parts

READ = ("action", "reward", "propensity", "user_id", "policy", "context", "candidates")
"""Columns of the table that become parts of `LoggedActions`."""


@dataclass(frozen=True, eq=False)
class ActionLog(LoggedChoices, LoggedUsers):
    """Rounds in which one action was chosen, checked and not yet read.

    Args:
        name: what reports call the log.
        frame: one row a round: `action` and `reward`, and what else `recsys.data.schema.ACTION_FEEDBACK` names.
        actions: what can be chosen, the rows being the indices: `action` (raw ids, rising) and any feature.
        rounds: how many.
        fingerprint: changes whenever the log's content does.
        users: raw ids, rising; None where rounds stand alone.
        loggers: names of the policies that wrote the log, rising; None where there was one.
        estimated: whether `propensity` was estimated instead of logged.
        context_names: what each number of `context` is; empty where nobody said.
        summary: counts of what was found, and of rows left out, by reason.
    """

    name: str
    frame: pl.LazyFrame
    actions: pl.DataFrame
    rounds: int
    fingerprint: str
    users: pl.Series | None = None
    loggers: pl.Series | None = None
    estimated: bool = False
    context_names: tuple[str, ...] = ()
    summary: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.rounds

    def batches(self, size: int = SIZE) -> Iterator[LoggedActions]:
        """The rounds in order, up to `size` at once, in memory that grows with `size` alone.

        Args:
            size: rounds of a batch; fewer where a round has thousands of candidates, since these are a mask `[n, A]`.
        """
        there = [name for name in READ if name in self.columns]
        for start, part in parts(self.frame.select(there), size):
            yield self._batch(start, part)

    def requests(self) -> pl.LazyFrame:
        """`request_id` and `action` of each round as they stand in the log, to join tables of policies with."""
        return self.frame.select("request_id", "action")

    def _batch(self, start: int, part: pl.DataFrame) -> LoggedActions:
        def has(name: str) -> bool:
            return name in part.columns

        return LoggedActions(
            request=torch.arange(start, start + len(part)),
            action=self.ids.indices(part["action"]),
            reward=numbers(part["reward"]),
            propensity=numbers(part["propensity"]) if has("propensity") else None,
            user=None if self.user_ids is None else self.user_ids.indices(part["user_id"]),
            logger=None if self.loggers is None else RawIds(self.loggers).indices(part["policy"]),
            context=matrix(part["context"]) if has("context") else None,
            candidates=self._mask(part["candidates"]) if has("candidates") else None,
        )

    def _mask(self, candidates: pl.Series) -> Bool[Tensor, "n A"]:
        mask = torch.zeros(len(candidates), self.num_actions, dtype=torch.bool)
        rows = torch.repeat_interleave(torch.arange(len(candidates)), lengths(candidates))
        mask[rows, self.ids.indices(candidates.explode())] = True
        return mask
