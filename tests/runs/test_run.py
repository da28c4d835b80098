from __future__ import annotations

import json
import signal
from pathlib import Path

import polars as pl
import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.errors import ConfigurationError, DataError
from recsys.runs.run import RunResult, run_stages


def calls(result: RunResult) -> list[str]:
    return (result.folder / "calls.txt").read_text().split()


def text(result: RunResult, stage: str) -> str:
    return (result.folder / "stages" / stage / "text.txt").read_text()


def again(chain: DictConfig, result: RunResult, **changes: object) -> RunResult:
    """Run in the same folder, forgetting the earlier calls."""
    (result.folder / "calls.txt").write_text("")
    for key, value in changes.items():
        OmegaConf.update(chain, key.replace("__", "."), value)
    chain.run = str(result.folder)
    return run_stages(chain)


def test_stages_run_in_order_and_leave_the_run_folder(chain: DictConfig) -> None:
    result = run_stages(chain)
    assert calls(result) == ["prepare", "sft", "rl", "evaluate"]
    assert text(result, "rl") == "data sft text"
    assert result.metrics["sft"]["ndcg@10"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert result.folder.parent == Path(chain.root) / "chain"
    assert {one.name for one in result.folder.iterdir()} == {
        "config.yaml",
        "metrics.json",
        "history.parquet",
        "run.log",
        "stages",
        "calls.txt",
        ".run.json",
        ".lock",
    }


def test_the_log_has_what_was_printed_with_times(chain: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_stages(chain)
    shown = capsys.readouterr().out
    assert "rl: begins" in shown
    assert "rl has written text" in shown
    lines = (result.folder / "run.log").read_text().splitlines()
    written = [line for line in lines if line.endswith("rl has written text")]
    assert len(written) == 1
    assert written[0][:4].isdigit()
    assert sum(line.endswith("rl: begins") for line in lines) == 1


def test_history_of_all_stages_is_gathered_in_order(chain: DictConfig) -> None:
    history = pl.read_parquet(run_stages(chain).folder / "history.parquet")
    assert history.columns == ["stage", "step", "metric", "value"]
    assert history["stage"].to_list() == ["prepare", "sft", "rl", "evaluate"]


def test_running_again_skips_what_is_up_to_date(chain: DictConfig, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_stages(chain)
    capsys.readouterr()
    same = again(chain, result)
    assert same.folder == result.folder
    assert calls(same) == []
    assert capsys.readouterr().out.splitlines() == [
        f"{one}: up to date" for one in ("prepare", "sft", "rl", "evaluate")
    ]
    assert same.metrics == result.metrics


@pytest.mark.parametrize(
    ("changes", "run_anew"),
    [
        ({"reward__kind": "ranking"}, ["rl", "evaluate"]),
        ({"stage__evaluate__text": "other"}, ["evaluate"]),
        ({"seed": 1}, ["sft", "rl", "evaluate"]),
        ({"stage__prepare__text": "other"}, ["prepare", "sft", "rl", "evaluate"]),
    ],
)
def test_a_change_runs_what_depends_on_it_and_nothing_else(
    chain: DictConfig, changes: dict[str, object], run_anew: list[str]
) -> None:
    assert calls(again(chain, run_stages(chain), **changes)) == run_anew


def test_what_a_changed_stage_left_is_cleared_and_its_results_with_it(chain: DictConfig) -> None:
    result = run_stages(chain)
    (result.folder / "stages/rl/old.txt").write_text("old")
    (result.folder / "stages/sft/kept.txt").write_text("kept")
    chain.stages = ["prepare", "sft", "rl"]
    again(chain, result, reward__kind="ranking")
    assert not (result.folder / "stages/rl/old.txt").exists()
    assert (result.folder / "stages/sft/kept.txt").exists()
    chain.stages = ["prepare", "sft", "rl", "evaluate"]
    chain.stage.evaluate = {"_target_": "fake_stages.Evaluate", "missing": 1}
    with pytest.raises(ConfigurationError, match="missing"):
        again(chain, result)
    assert (result.folder / "metrics.json").exists(), "a refused run changes nothing"


def trapped(tmp_path: Path, how: str = "key") -> DictConfig:
    """One stage that is interrupted while the trap is there."""
    trap = tmp_path / "trap"
    trap.touch()
    node = {"_target_": "fake_stages.Interrupted", "trap": str(trap), "how": how}
    config = {"name": "trap", "stages": ["sft"], "root": str(tmp_path / "runs"), "run": None, "stage": {"sft": node}}
    return OmegaConf.create(config)


@pytest.mark.parametrize("how", ["key", "lightning"])
def test_an_interrupted_stage_goes_on_from_what_it_left(tmp_path: Path, how: str) -> None:
    config = trapped(tmp_path, how)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run_stages(config)
    assert signal.getsignal(signal.SIGINT) == handler
    (folder,) = (tmp_path / "runs/trap").iterdir()
    assert (folder / "stages/sft/partial.json").exists()
    assert not (folder / "stages/sft/fingerprint.json").exists()
    assert "interrupted" in (folder / "run.log").read_text()
    (tmp_path / "trap").unlink()
    config.resume = True
    result = run_stages(config)
    assert result.folder == folder
    assert text(result, "sft") == "True True"
    assert not (folder / "stages/sft/partial.json").exists()


def test_an_interrupted_stage_starts_over_where_its_configuration_changed(tmp_path: Path) -> None:
    config = trapped(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_stages(config)
    (folder,) = (tmp_path / "runs/trap").iterdir()
    (tmp_path / "trap").unlink()
    config.run = str(folder)
    config.stage.sft.how = "inside"
    assert text(run_stages(config), "sft") == "False False"


def test_resume_takes_the_newest_unfinished_run_of_the_same_configuration(tmp_path: Path) -> None:
    config = trapped(tmp_path)
    folders = []
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_stages(config)
        folders.append(max((tmp_path / "runs/trap").iterdir()))
    (tmp_path / "trap").unlink()
    finished = run_stages(config).folder
    config.resume = True
    assert run_stages(config).folder == folders[1]
    assert run_stages(config).folder == folders[0]
    assert run_stages(config).folder == finished, "nothing is left to do: the newest, in which all is up to date"
    config.stage.sft.how = "inside"
    assert run_stages(config).folder not in [*folders, finished], "another configuration is another run"


def test_a_failure_inside_is_logged_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        run_stages(trapped(tmp_path, "inside"))
    (log,) = (tmp_path / "runs/trap").glob("*/run.log")
    assert "ZeroDivisionError: inside" in log.read_text()


def test_what_a_constructor_refuses_is_said_in_its_own_words(tmp_path: Path) -> None:
    config = trapped(tmp_path)
    config.stage.sft = {"_target_": "fake_stages.Refusing", "size": 1}
    with pytest.raises(DataError, match=r"^size: 1 is too small$"):
        run_stages(config)


def test_a_stage_that_makes_its_parts_itself_gets_configuration(tmp_path: Path) -> None:
    config = trapped(tmp_path)
    part = {"_target_": "fake_stages.Reward", "weight": 2.5}
    config.stage.sft = {"_target_": "fake_stages.Lazy", "_recursive_": False, "parts": {"first": part}}
    assert text(run_stages(config), "sft") == "2.5"


def test_the_kept_configuration_makes_the_run_again(chain: DictConfig) -> None:
    chain.resume = True
    first = run_stages(chain)
    kept = OmegaConf.load(first.folder / "config.yaml")
    assert isinstance(kept, DictConfig)
    assert (kept.run, kept.resume) == (None, False)
    second = run_stages(kept)
    assert second.folder != first.folder
    marks = [json.loads((one.folder / "stages/rl/fingerprint.json").read_text()) for one in (first, second)]
    assert marks[0] == marks[1]


def test_a_wrong_configuration_leaves_no_folder(chain: DictConfig) -> None:
    chain.stage.rl.txet = "x"
    with pytest.raises(ConfigurationError):
        run_stages(chain)
    assert not Path(chain.root).exists()


def test_later_stages_refuse_the_data_before_the_first_of_them_begins(chain: DictConfig) -> None:
    folder = Path(chain.root) / "own"
    chain.run = str(folder)
    chain.stage.prepare = {"_target_": "fake_stages.Prepares", "name": "prepare", "text": "data"}
    chain.stage.rl = {
        **OmegaConf.to_container(chain.stage.rl, resolve=False),
        "_target_": "fake_stages.Choosy",
        "wants": "better data",
    }
    with pytest.raises(DataError, match="rl wants better data, found data"):
        run_stages(chain)
    assert (folder / "calls.txt").read_text().split() == ["prepare"]
    assert not (folder / "stages/sft/partial.json").exists()
    OmegaConf.update(chain, "stage.rl.wants", "data")
    result = run_stages(chain)
    assert calls(result) == ["prepare", "sft", "rl", "evaluate"], "what was prepared is kept"
    assert calls(again(chain, result)) == []
    assert (folder / "asked.txt").read_text().split() == ["rl", "rl"], "a stage that is up to date is not asked"
