from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.logs.episodes import EpisodeLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.errors import DataError, RequestError

GOOD: dict[str, list[Any]] = {
    "episode_id": ["a", "a", "b", "c", "c", "c"],
    "step": [0, 1, 0, 0, 1, 2],
    "action": [7, 5, 5, 7, 7, 5],
    "reward": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    "propensity": [0.5, 0.25, 1.0, 0.5, 0.5, 0.125],
    "context": [[0.0], [1.0], [2.0], [3.0], [4.0], [5.0]],
    "done": [False, True, True, False, False, False],
}


def write(folder: Path, **changes: Any) -> Path:
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    path = folder / "trajectories.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def read(path: Path, **options: Any) -> EpisodeLog:
    log = ParquetFeedback(path, **options).log()
    assert isinstance(log, EpisodeLog)
    return log


def test_episodes_of_unequal_length_are_padded(tmp_path: Path) -> None:
    log = read(write(tmp_path))
    assert (len(log), log.steps, log.num_actions) == (3, 6, 2)
    assert log.summary == {"episodes": 3, "steps": 6, "actions": 2}
    first, second = log.batches(2)
    assert first.episode.tolist() == [0, 1] and second.episode.tolist() == [2]
    assert first.action.tolist() == [[1, 0], [0, 0]] and second.action.tolist() == [[1, 1, 0]]
    assert first.reward.tolist() == [[1.0, 2.0], [3.0, 0.0]]
    assert first.propensity.tolist() == [[0.5, 0.25], [1.0, 1.0]]
    assert first.mask.tolist() == [[True, True], [True, False]]
    assert first.context is not None and first.context.tolist() == [[[0.0], [1.0]], [[2.0], [0.0]]]


@pytest.mark.parametrize("order", [[5, 0, 2, 3, 1, 4], [1, 0, 2, 3, 4, 5], [0, 2, 1, 3, 4, 5]])
def test_steps_may_stand_in_any_order(tmp_path: Path, order: list[int]) -> None:
    ordered = list(read(write(tmp_path)).batches())
    mixed = {name: [values[row] for row in order] for name, values in GOOD.items()}
    [batch] = read(write(tmp_path, **mixed)).batches()
    assert batch.reward.tolist() == ordered[0].reward.tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6]]


def test_batches_do_not_cut_episodes_where_parts_of_the_file_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = read(write(tmp_path))
    whole = [batch.reward.tolist() for batch in log.batches(1)]
    for rows in (1, 2, 4):
        monkeypatch.setattr("recsys.data.logs.episodes.ROWS", rows)
        assert [batch.reward.tolist() for batch in log.batches(1)] == whole
        assert [batch.episode.tolist() for batch in log.batches(2)] == [[0, 1], [2]]


MALFORMED = {
    "step missing": ({"step": [0, 1, 0, 0, 2, 3]}, r"row 4 .*'step': 2 does not follow the step before it"),
    "step twice": ({"step": [0, 1, 0, 0, 1, 1]}, r"row 5 .*'step': 1 does not follow the step before it"),
    "begins late": ({"step": [0, 1, 3, 0, 1, 2]}, r"row 2 .*'step': 3 is where its episode begins, expected the log's"),
    "ends twice": ({"done": [True, True] + [False] * 4}, r"row 0 .*'done': True ends the episode before its last step"),
    "propensity 0": ({"propensity": [0.5] * 5 + [0.0]}, r"row 5 .*'propensity': 0.0 is no propensity"),
    "reward NaN": ({"reward": [0.5] * 5 + [float("nan")]}, r"row 5 .*'reward': nan is no reward"),
    "reward text": ({"reward": ["a"] * 6}, r"column 'reward' of table 'trajectories' holds String, expected numbers"),
    "context": ({"context": [[0.0]] * 5 + [[0.0, 1.0]]}, r"row 5 .*'context': \[0.0, 1.0\] is no context"),
    "episode null": ({"episode_id": ["a"] * 5 + [None]}, r"row 5 .*'episode_id': None is null"),
    "no step": ({"step": None}, "column 'step' of table 'trajectories' is missing"),
}


@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_bad_steps_are_refused_with_file_row_and_reason(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_the_row_is_the_files_own_where_steps_are_mixed(tmp_path: Path) -> None:
    mixed = {name: values[::-1] for name, values in {**GOOD, "step": [0, 1, 0, 0, 2, 3]}.items()}
    with pytest.raises(DataError, match=r"row 1 .*'step': 2 does not follow"):
        read(write(tmp_path, **mixed))


@pytest.mark.parametrize("backwards", [False, True])
def test_episodes_are_excluded_whole_and_counted(tmp_path: Path, backwards: bool) -> None:
    bad = {**GOOD, "propensity": [0.5, 0.25, 1.0, 0.5, 0.0, 0.5]}
    log = read(
        write(tmp_path, **{name: values[:: -1 if backwards else 1] for name, values in bad.items()}), exclude=True
    )
    assert log.summary == {"episodes": 2, "steps": 3, "actions": 2, "propensity is no propensity": 3}
    [batch] = log.batches()
    assert batch.reward.tolist() == [[1.0, 2.0], [3.0, 0.0]]


def test_without_propensities_nothing_is_weighed(tmp_path: Path) -> None:
    log = read(write(tmp_path, propensity=None))
    with pytest.raises(RequestError, match="no column 'propensity': log it, or estimate it"):
        next(log.batches())
