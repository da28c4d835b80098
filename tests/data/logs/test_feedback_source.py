from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.data.logs.feedback_source import by_policy
from recsys.errors import DataError

ROWS = {"action": [1, 2, 1], "reward": [0.0, 1.0, 1.0], "propensity": [0.5, 0.5, 1.0], "policy": ["b", "a", "b"]}


def written(folder: Path, name: str = "log.parquet", **changes: list) -> str:
    table = pl.DataFrame({**ROWS, **changes})
    path = folder / name
    table.write_csv(path) if name.endswith(".csv") else table.write_parquet(path)
    return str(path)


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_each_policy_is_a_log(tmp_path: Path, name: str) -> None:
    logs = {key: source.log() for key, source in by_policy(written(tmp_path, name)).items()}
    assert {key: (log.name, len(log)) for key, log in logs.items()} == {"a": ("a", 1), "b": ("b", 2)}


def test_one_policy_alone_is_read_where_it_is_named(tmp_path: Path) -> None:
    assert {key: len(one.log()) for key, one in by_policy(written(tmp_path), policy="b").items()} == {"b": 2}
    with pytest.raises(DataError, match="no rows of policy 'c'; there are a, b"):
        by_policy(written(tmp_path), policy="c")["c"].log()


def test_a_table_without_policies_is_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame(ROWS).drop("policy").write_parquet(path)
    [(name, source)] = by_policy(path).items()
    assert name == "log" and len(source.log()) == 3


@pytest.mark.parametrize("name", ["log.parquet", "log.csv"])
def test_rows_that_nobody_wrote_are_refused_or_left_out_and_counted(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, name, policy=["b", None, "b"])
    with pytest.raises(DataError, match=rf"{name}, row 1 \(from 0\), column 'policy': None is null"):
        by_policy(path)
    assert {key: len(one.log()) for key, one in by_policy(path, exclude=True).items()} == {"b": 2}
    assert "excluded 1 row(s): 1 (policy is null)" in caplog.text


def test_rows_at_fault_are_counted_in_the_whole_file(tmp_path: Path) -> None:
    path = written(tmp_path, propensity=[0.5, 0.5, 2.0])
    with pytest.raises(DataError, match="row 2 "):
        by_policy(path)["b"].log()
    assert by_policy(path, exclude=True)["b"].log().summary["propensity is no propensity"] == 1
