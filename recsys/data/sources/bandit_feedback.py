"""Read the feedback dictionary of Open Bandit Pipeline as a log of actions.

Layout: the dictionary `bandit_feedback` that the synthetic and public data sets of Open Bandit Pipeline return.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recsys.data.logs.actions import ActionLog, action_log
from recsys.data.tables.row_checks import row_finder
from recsys.errors import DataError

REQUIRED = ("n_rounds", "n_actions", "action", "reward")


@dataclass(frozen=True)
class BanditFeedback:
    """A log from `n_rounds`, `n_actions`, `action`, `reward` and, if given, `pscore`, `context` and `position`.

    The actions are 0 to `n_actions` − 1, whether or not they were chosen. `action_context` becomes their feature
    `context`. If `position` has several values, the context of a round starts with a one-hot code of the position, as
    `recsys.replay.targets.open_bandit` reads it.

    Args:
        feedback: arrays of `n_rounds` rows.
        name: name of the log in reports.
        exclude: True leaves out bad rows and counts them; False raises an error at the first one.
    """

    feedback: Mapping[str, Any]
    name: str = "bandit_feedback"
    exclude: bool = False

    def log(self) -> ActionLog:
        """Return the checked log. In messages, "row" is the index into the arrays.

        Raises:
            DataError: a key is missing, an array has another number of rows, rewards or actions are no numbers, or a
                row is invalid.
        """
        missing = [key for key in REQUIRED if key not in self.feedback]
        if missing:
            raise DataError(f"{self.name}: key {missing[0]!r} is missing; found {', '.join(self.feedback)}. Add it")
        rounds = int(self.feedback["n_rounds"])
        columns = {
            "action": self._array("action", rounds, "iu").astype(np.int64),
            "reward": self._array("reward", rounds, "iufb").astype(np.float64),
        }
        if self.feedback.get("pscore") is not None:
            columns["propensity"] = self._array("pscore", rounds, "iuf").astype(np.float64)
        names, context = self._context(rounds)
        frame = pl.DataFrame(columns)
        if context is not None:
            frame = frame.with_columns(pl.Series("context", context).arr.to_list())
        return action_log(
            frame.lazy(),
            row_finder(frame.lazy(), self.name),
            name=self.name,
            fingerprint=fingerprint(frame),
            actions=self._actions(),
            excluding=self.exclude,
            context_names=names,
        )

    def _array(self, key: str, rounds: int, kinds: str) -> np.ndarray:
        found = np.asarray(self.feedback[key])
        if found.dtype.kind not in kinds:
            raise DataError(f"{self.name}: {key!r} holds {found.dtype}, expected numbers, such as row 0: {found[:1]}")
        if len(found) != rounds:
            raise DataError(f"{self.name}: {key!r} has {len(found)} rows, expected n_rounds = {rounds}")
        return found

    def _context(self, rounds: int) -> tuple[tuple[str, ...], np.ndarray | None]:
        blocks, names = [], []
        if self.feedback.get("position") is not None:
            position = self._array("position", rounds, "iu")
            count = int(position.max()) + 1 if rounds else 0
            if count > 1:
                blocks.append(np.eye(count)[position])
                names += [f"position={place}" for place in range(count)]
        if self.feedback.get("context") is not None:
            given = self._array("context", rounds, "iufb").reshape(rounds, -1).astype(np.float64)
            blocks.append(given)
            names += [f"context_{place}" for place in range(given.shape[1])]
        return tuple(names), np.concatenate(blocks, 1) if blocks else None

    def _actions(self) -> pl.DataFrame:
        count = int(self.feedback["n_actions"])
        actions = pl.DataFrame({"action": np.arange(count)})
        described = self.feedback.get("action_context")
        if described is None:
            return actions
        described = np.asarray(described, dtype=np.float64).reshape(count, -1)
        return actions.with_columns(pl.Series("context", described).arr.to_list())


def fingerprint(frame: pl.DataFrame) -> str:
    """Return text that changes whenever the content of the frame changes.

    >>> fingerprint(pl.DataFrame({"a": [1]})) == fingerprint(pl.DataFrame({"a": [2]}))
    False
    """
    rows = frame.hash_rows(seed=0).to_numpy()
    return hashlib.sha256(f"{frame.schema}".encode() + rows.tobytes()).hexdigest()
