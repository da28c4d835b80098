"""Episodes of Minari data sets as a log.

Layout: minari.farama.org, `EpisodeData`. Minari itself is not needed: whatever has the same parts is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from recsys.data.bandit_feedback import fingerprint
from recsys.data.episode_log import EpisodeLog
from recsys.data.episode_rules import episode_log
from recsys.data.rules import finder
from recsys.errors import DataError


@dataclass(frozen=True)
class Minari:
    """Episodes with `id`, `observations`, `actions`, `rewards`, `terminations`, `truncations` and `infos`.

    Actions are integers. Observations have one row more than there are steps, the last being what came after the last
    step, or as many; dictionaries of observations have to be flattened before. Where `infos` has no propensities the
    log has none: estimators refuse it until they are estimated (`recsys.replay.propensities`).

    Args:
        episodes: such as a Minari data set, which yields them; objects or mappings. They are read into memory.
        propensity: name in `infos` of the probability with which each action was taken.
        name: what reports call the log.
        exclude: leave out whole episodes of which a step is at fault and count them, instead of refusing the log.
    """

    episodes: Iterable[Any]
    propensity: str = "propensity"
    name: str = "minari"
    exclude: bool = False

    def log(self) -> EpisodeLog:
        """The log, checked; "row" in messages counts the steps of all episodes.

        Raises:
            DataError: parts of an episode disagree in length or are of another kind, only some episodes have
                propensities, or a step is at fault.
        """
        frames = [self._frame(episode, number) for number, episode in enumerate(self.episodes)]
        if not frames:
            raise DataError(f"{self.name}: no episodes")
        for number, frame in enumerate(frames):
            if frame.schema != frames[0].schema:
                raise DataError(
                    f"{self.name}, episode {number} (from 0) has {', '.join(frame.columns)}, the first"
                    f" {', '.join(frames[0].columns)}: expected propensities and observations in all episodes or none"
                )
        steps = pl.concat(frames)
        return episode_log(
            steps.lazy(),
            finder(steps.lazy(), self.name),
            name=self.name,
            fingerprint=fingerprint(steps),
            excluding=self.exclude,
        )

    def _frame(self, episode: Any, number: int) -> pl.DataFrame:
        where = f"{self.name}, episode {number} (from 0)"
        actions = self._rows(_part(episode, "actions"), where, "actions", "iu")
        steps = len(actions)
        if actions.ndim != 1:
            raise DataError(f"{where}: 'actions' has shape {actions.shape}, expected one integer a step")
        rewards = self._rows(_part(episode, "rewards"), where, "rewards", "iufb", steps)
        ends = [self._rows(_part(episode, name), where, name, "iub", steps) for name in ("terminations", "truncations")]
        given = _part(episode, "id")
        columns: dict[str, Any] = {
            "episode_id": np.full(steps, number if given is None else given),
            "step": np.arange(steps),
            "action": actions.astype(np.int64),
            "reward": rewards.astype(np.float64),
            "done": (ends[0] | ends[1]).astype(bool),
        }
        infos = _part(episode, "infos") or {}
        if self.propensity in infos:
            found = self._rows(infos[self.propensity], where, self.propensity, "iuf", steps, steps + 1)
            columns["propensity"] = found[len(found) - steps :].astype(np.float64)
        frame = pl.DataFrame(columns)
        observations = _part(episode, "observations")
        if observations is None:
            return frame
        state = self._rows(observations, where, "observations", "iufb", steps, steps + 1)[:steps]
        context = state.reshape(steps, -1).astype(np.float64)
        return frame.with_columns(pl.Series("context", context).arr.to_list())

    @staticmethod
    def _rows(value: Any, where: str, name: str, kinds: str, *lengths: int) -> np.ndarray:
        found = np.asarray(value)
        if found.dtype.kind not in kinds or not found.ndim:
            raise DataError(
                f"{where}: {name!r} holds {found.dtype}, expected {'integers' if kinds == 'iu' else 'numbers'}"
            )
        if lengths and len(found) not in lengths:
            raise DataError(f"{where}: {name!r} has {len(found)} rows, expected one for each of {lengths[0]} steps")
        return found


def _part(episode: Any, name: str) -> Any:
    return episode.get(name) if isinstance(episode, Mapping) else getattr(episode, name, None)
