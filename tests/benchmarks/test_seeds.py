from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from benchmarks.quality.seeds import configured, read, table
from recsys.errors import DataError


def run_of(folder: Path, seed: int, rows: dict[str, list[float]], name: str = "rere/small") -> Path:
    """A run folder in which each user has one value of every metric of each row."""
    folder.mkdir()
    metrics = ["ndcg@10", "hr@1", "hr@5", "hr@10", "hr@20", "hr@50", "ndcg@5", "ndcg@20", "ndcg@50"]
    cells = [
        (f"u{user}", row, metric, seed, value)
        for row, values in rows.items()
        for metric in metrics
        for user, value in enumerate(values)
    ]
    columns = ["user_id", "row", "metric", "seed", "value"]
    pl.DataFrame(cells, schema=columns, orient="row").write_parquet(folder / "metrics.parquet")
    (folder / "metrics.json").write_text(json.dumps({row: {"coverage@10": {"value": 0.5}} for row in rows}))
    (folder / "config.yaml").write_text(f"{{name: {name}, seed: {seed}, evaluation: {{references: [sft]}}}}")
    return folder


def test_means_over_seeds_and_paired_differences(tmp_path: Path) -> None:
    first = run_of(tmp_path / "0", 0, {"sft": [0.0, 0.5], "rere": [0.5, 1.0]})
    second = run_of(tmp_path / "1", 1, {"sft": [0.5, 0.0], "rere": [1.0, 0.5]})
    lines = table([first, second], ["sft"]).splitlines()
    assert lines[2].startswith("| sft | 0.2500 [0.2500, 0.2500] |  |")
    assert lines[3].startswith("| rere | 0.7500 [0.7500, 0.7500] | +0.5000 [+0.5000, +0.5000] |")
    assert len(lines) == 4


def test_a_row_of_some_seeds_only_is_named_below(tmp_path: Path) -> None:
    first = run_of(tmp_path / "0", 0, {"sft": [0.0, 0.5], "sasrec": [0.5, 1.0]})
    second = run_of(tmp_path / "1", 1, {"sft": [0.5, 0.0]})
    assert read([first, second])[2] == ["sasrec"]
    assert table([first, second], ["sft"]).splitlines()[3:] == ["", "Not in every run: sasrec."]


def test_a_later_run_of_a_seed_stands(tmp_path: Path) -> None:
    first = run_of(tmp_path / "0", 0, {"sft": [0.0, 0.5], "sasrec": [0.5, 1.0]})
    again = run_of(tmp_path / "again", 0, {"sft": [1.0, 1.0]})
    rows, _, partial = read([first, again])
    assert partial == []
    assert rows["sft"]["ndcg@10"].tolist() == [[1.0, 1.0]]
    assert rows["sasrec"]["ndcg@10"].tolist() == [[0.5, 1.0]]


def test_other_users_are_refused(tmp_path: Path) -> None:
    first = run_of(tmp_path / "0", 0, {"sft": [0.0, 0.5]})
    second = run_of(tmp_path / "1", 1, {"sft": [0.5, 0.0, 1.0]})
    with pytest.raises(DataError, match="same users"):
        read([first, second])


def test_the_runs_say_what_they_are_compared_with(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / folder, seed, {"sft": [0.0]}) for folder, seed in (("0", 0), ("1", 1), ("again", 1))]
    assert configured(runs) == ("rere/small", ["sft"], [0, 1])


def test_runs_of_two_experiments_are_refused(tmp_path: Path) -> None:
    runs = [run_of(tmp_path / "0", 0, {"sft": [0.0]}), run_of(tmp_path / "1", 1, {"sft": [0.0]}, name="rere/other")]
    with pytest.raises(DataError, match="rere/other, rere/small"):
        configured(runs)
