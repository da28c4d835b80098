from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from omegaconf import DictConfig

from recsys.errors import RequestError
from recsys.runs import run_folder
from recsys.runs.fingerprint import plan
from recsys.runs.run_folder import RunFolder, choose_folder, new_folder, same_runs


class Noon(datetime):
    @classmethod
    def now(cls, tz=None) -> Noon:
        return cls(2024, 2, 29, 12, 0, 0)


def test_paths_are_those_of_the_tables(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    names = [run.config, run.metrics, run.metrics_table, run.history, run.checkpoints, run.report, run.log]
    assert [one.name for one in names] == [
        "config.yaml",
        "metrics.json",
        "metrics.parquet",
        "history.parquet",
        "checkpoints",
        "report.html",
        "run.log",
    ]
    assert run.stage("sft") == tmp_path / "stages" / "sft"
    assert run.checkpoint("sft").is_dir()
    assert run.read_metrics() == {}


def test_two_runs_of_one_second_get_two_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder, "datetime", Noon)
    names = [new_folder(tmp_path).name for _ in range(3)]
    assert names == ["2024-02-29_12-00-00", "2024-02-29_12-00-00_2", "2024-02-29_12-00-00_3"]


def test_the_folder_asked_for_is_taken_and_made(chain: DictConfig, tmp_path: Path) -> None:
    chain.run = str(tmp_path / "mine" / "here")
    assert choose_folder(chain, plan(chain)) == tmp_path / "mine" / "here"
    assert (tmp_path / "mine" / "here").is_dir()


def test_resume_without_an_earlier_run_starts_one(chain: DictConfig) -> None:
    chain.resume = True
    assert choose_folder(chain, plan(chain)).parent == Path(chain.root) / "chain"


def test_same_runs_are_of_the_same_configuration_oldest_first(chain: DictConfig, tmp_path: Path) -> None:
    for name, seed in (("c", 0), ("a", 0), ("b", 1)):
        chain.seed = seed
        (tmp_path / name).mkdir()
        RunFolder(tmp_path / name).write_config(chain)
    chain.seed = 0
    assert [one.path.name for one in same_runs(tmp_path, chain)] == ["a", "c"]


def test_an_incremental_stage_finds_its_result_but_no_more_as_whole(chain: DictConfig, tmp_path: Path) -> None:
    run, step = RunFolder(tmp_path), replace(plan(chain)[1], incremental=True)
    run.begin(step)
    (run.stage("sft") / "part").touch()
    (run.checkpoint("sft") / "part").touch()
    run.finish(step)
    assert not run.begin(replace(step, fingerprint="other"))
    assert (run.stage("sft") / "part").exists() and (run.checkpoint("sft") / "part").exists()
    assert not run.up_to_date(step), "half of it may be the other's by now"


def test_a_stage_begins_clean_unless_it_was_interrupted(chain: DictConfig, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    step = plan(chain)[-1]
    (run.stage("evaluate") / "old").touch()
    (run.checkpoint("evaluate") / "old").touch()
    run.metrics.touch()
    assert not run.begin(step)
    assert [one.name for one in run.stage("evaluate").iterdir()] == ["partial.json"]
    assert not list(run.checkpoint("evaluate").iterdir())
    assert not run.metrics.exists()
    (run.stage("evaluate") / "half").touch()
    assert run.begin(step)
    assert (run.stage("evaluate") / "half").exists()
    assert not run.up_to_date(step)
    run.finish(step)
    assert run.up_to_date(step)


def test_a_stage_that_is_whole_loses_the_mark_of_its_beginning(chain: DictConfig, tmp_path: Path) -> None:
    """A kill before the last removal leaves both marks; a result that is damaged afterwards is made anew."""
    run, step = RunFolder(tmp_path), plan(chain)[1]
    run.begin(step)
    mark = (run.stage("sft") / "partial.json").read_text()
    (run.stage("sft") / "part").write_text("whole")
    run.finish(step)
    (run.stage("sft") / "partial.json").write_text(mark)
    run.remove_stale_results([step])
    assert not (run.stage("sft") / "partial.json").exists() and run.up_to_date(step)
    (run.stage("sft") / "part").write_text("damaged")
    assert not run.up_to_date(step) and not run.begin(step)
    assert not (run.stage("sft") / "part").exists()


@pytest.mark.parametrize("name", ["file/below", "x" * 300])
@pytest.mark.parametrize("key", ["run", "root"])
def test_a_folder_that_cannot_be_is_refused(chain: DictConfig, tmp_path: Path, name: str, key: str) -> None:
    (tmp_path / "file").touch()
    chain[key] = str(tmp_path / name)
    with pytest.raises(RequestError, match=f"{key}: .* cannot be made"):
        choose_folder(chain, plan(chain))
