from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.preparation import PreparedData, SequencePreparation, SlatePreparation
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.data.datasets.split import GlobalTime, LeaveOneOut, split_slates_by_steps
from recsys.data.sources.parquet import ParquetSlates, ParquetTables
from recsys.errors import ConfigurationError, DataError, RequestError
from recsys.runs.fingerprint import mark_fresh
from recsys.runs.prepare import Prepare, load_data, load_data_of
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from tests.slate_files import write_impressions
from tests.tables import ITEMS, USERS, write_tables


def stage(folder: Path, **options: object) -> Prepare:
    given = {"source": ParquetTables(write_tables(folder / "tables")), "split": LeaveOneOut(), "k_core": 0, **options}
    return Prepare(SequencePreparation(root=str(folder / "data"), **given))


def test_the_run_knows_where_its_data_lie(tmp_path: Path) -> None:
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    one = stage(tmp_path)
    assert isinstance(one, Stage)
    one.run(first)
    stage(tmp_path, split=GlobalTime()).run(second)
    data = load_data_of(first, Dataset)
    assert (data.num_users, data.num_items, len(data.test)) == (USERS, ITEMS, USERS)
    assert load_data_of(second, Dataset).fingerprint != data.fingerprint
    assert data.items["title"][0].startswith("Tale ")


def test_options_reach_the_preparation(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    stage(tmp_path, repeats=True).run(run)
    assert load_data_of(run, Dataset).repeats
    stage(tmp_path, repeat_threshold=1.0, k_core=5).run(run)
    assert not load_data_of(run, Dataset).repeats
    with pytest.raises(DataError, match="k_core=8 leaves none"):
        stage(tmp_path, k_core=8).run(run)


def test_data_that_are_gone_are_asked_for_and_prepared_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    stage(tmp_path).run(run)
    mark_fresh(run.stage("prepare"), "made")
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(RequestError, match=r"is gone.*run the same training again"):
        load_data_of(run, Dataset)
    assert not stage(tmp_path).is_intact(run), "the same training prepares again"


def test_slates_come_through_the_same_stage(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    source = ParquetSlates(write_impressions(tmp_path / "raw"), group="kind")
    Prepare(SlatePreparation(source, partial(split_slates_by_steps, steps=2, validation=0.2, test=0.3))).run(run)
    found = load_data_of(run, PreparedSlates)
    assert isinstance(found, PreparedData)
    assert found.fingerprint == load_data(run).fingerprint
    assert found.log.fingerprint == source.slates().fingerprint
    assert found.facts()["held-out slates"] == f"{int(found.split.test.sum()):,}"
    with pytest.raises(ConfigurationError, match=r"prepared PreparedSlates \(.*\), Dataset is needed"):
        load_data_of(run, Dataset)


def test_a_run_that_prepared_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="holds no prepared data; its stages begin with `prepare`"):
        load_data(RunFolder(tmp_path))
