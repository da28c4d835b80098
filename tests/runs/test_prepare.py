from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recsys.data.datasets.split import GlobalTime, LeaveOneOut
from recsys.data.sources.parquet import ParquetTables
from recsys.errors import DataError, RequestError
from recsys.runs.fingerprint import is_fresh, mark_fresh
from recsys.runs.prepare import Prepare, load_dataset
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from tests.tables import ITEMS, USERS, write_tables


def stage(folder: Path, **options: object) -> Prepare:
    given = {"source": ParquetTables(write_tables(folder / "tables")), "split": LeaveOneOut(), "k_core": 0, **options}
    return Prepare(root=str(folder / "data"), **given)


def test_the_run_knows_where_its_data_lie(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    one = stage(tmp_path)
    assert isinstance(one, Stage)
    one.run(first)
    stage(tmp_path, split=GlobalTime()).run(second)
    data = load_dataset(first)
    assert (data.num_users, data.num_items, len(data.test)) == (USERS, ITEMS, USERS)
    assert load_dataset(second).fingerprint != data.fingerprint
    assert data.items["title"][0].startswith("Tale ")


def test_options_reach_the_preparation(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    stage(tmp_path, repeats=True).run(run)
    assert load_dataset(run).repeats
    stage(tmp_path, repeat_threshold=1.0, k_core=5).run(run)
    assert not load_dataset(run).repeats
    with pytest.raises(DataError, match="8-core"):
        stage(tmp_path, k_core=8).run(run)


def test_data_that_are_gone_are_asked_for_and_prepared_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    stage(tmp_path).run(run)
    mark_fresh(run.stage("prepare"), "made")
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(RequestError, match=r"is gone.*run the same training again"):
        load_dataset(run)
    assert not is_fresh(run.stage("prepare"), "made")
