"""VowpalWabbit's dsjson, one event a line: contextual bandits, conditional contextual bandits and slates.

Layout: github.com/VowpalWabbit/vowpal_wabbit/wiki/DSJSON, and its parser's tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from recsys.data.logs.actions import ActionLog, action_log
from recsys.data.logs.dsjson_events import DSJsonEvents, read_events
from recsys.data.logs.feedback_source import FeedbackSource
from recsys.data.logs.slates import SlateFeedbackLog, slate_feedback_log
from recsys.data.tables.download import sha256
from recsys.errors import DataError

WIDEST = 1000
"""Largest number of features of a context; more are unlikely to be features."""


@dataclass(frozen=True)
class DSJson(FeedbackSource):
    """A file of VowpalWabbit events as a log; it is read into memory.

    A reward is the negative of `_label_cost`. In a contextual bandit, the action is `_labelIndex` and its propensity
    `_label_probability`. In a conditional contextual bandit, each slot's item and propensity are the first of `_a` and
    `_p` of its outcome, given the slots before, with a cost of its own. In slates it is the same, but slots choose
    independently and there is one cost. Candidates are the event's `_multi`.

    Lines without a decision, and events that are marked not to learn from, have no valid reward: they are left out and
    counted. A share of dropped events (`pdrop`) changes no mean if it is constant; a log in which it varies is refused.

    Args:
        path: path of the file.
        identifier: key of an action's id in an element of `_multi`, such as "i.id"; None takes the place in `_multi`,
            from 0, which is an id if every event offers the same actions in the same order.
        context: whether the features that all actions of an event share become a context: numbers as they are, and one
            number for each text.
        exclude: leave out faulty events and count them, instead of refusing the log.
        name: name of the log in reports; None for the name of the file.
    """

    path: str | Path
    identifier: str | None = None
    context: bool = True
    exclude: bool = False
    name: str | None = None

    def log(self) -> ActionLog | SlateFeedbackLog:
        """Return the log, after its events were checked.

        Raises:
            DataError: a line is no JSON or lacks a part, kinds of events are mixed, or an event is faulty.
        """
        path = Path(self.path)
        events = read_events(path, self.identifier)
        names, frame = self._frame(events)
        lines = pl.Series("__line", events.lines)

        def find(broken: pl.Expr, column: str) -> tuple[str, int, object]:
            """Return file, row and value of the first faulty event; the row is its line."""
            wrong = frame.with_columns(lines).filter(broken).head(1)
            return str(path), wrong.item(0, "__line"), wrong.item(0, column)

        known: dict[str, Any] = {
            "name": self.name or path.stem,
            "fingerprint": sha256(path),
            "excluding": self.exclude,
            "left_out": events.left_out,
        }
        if events.kind == "cb":
            return action_log(frame.lazy(), find, context_names=names, **known)
        return slate_feedback_log(frame.lazy(), find, **known)

    def _frame(self, events: DSJsonEvents) -> tuple[tuple[str, ...], pl.DataFrame]:
        frame = pl.DataFrame(events.columns)
        if "request_id" in frame.columns and frame["request_id"].null_count() == len(frame):
            frame = frame.drop("request_id")
        names = tuple(sorted({name for features in events.features for name in features})) if self.context else ()
        if len(names) > WIDEST:
            raise DataError(
                f"{self.path}: shared features make a context of {len(names):,} numbers, expected at most {WIDEST:,}:"
                " read it with context=false"
            )
        if not names:
            return names, frame
        context = [[features.get(name, 0.0) for name in names] for features in events.features]
        return names, frame.with_columns(pl.Series("context", context, dtype=pl.List(pl.Float64)))
