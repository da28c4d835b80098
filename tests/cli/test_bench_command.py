from __future__ import annotations

from pathlib import Path

import pytest

from recsys.cli.main import DONE, FAILED, REFUSED, main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, played_here: None) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_prints_the_figures_and_last_the_run_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "policy=[random,oracle]", "limit=4", "processes=1"]) == DONE
    lines = capsys.readouterr().out.splitlines()
    assert (tmp_path / lines[-1] / "report.html").exists()
    assert any("click rate" in line and "regret" in line and "ms a slate" in line for line in lines)
    [oracle] = [line for line in lines if line.lstrip().startswith("oracle ")]
    assert "0 [0, 0]" in oracle


def test_a_policy_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "policy=[randm]"]) == REFUSED
    assert "did you mean 'random'" in capsys.readouterr().err


def test_a_failing_cell_is_a_failure_and_its_figures_are_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = "+policies.broken={_target_: tests.bench.fakes.Failing, num_items: 10}"
    assert main(["bench", "policy=[random]", broken, "limit=4", "processes=1"]) == FAILED
    said = capsys.readouterr().err
    assert said.startswith(
        "recsys bench: 2 run(s) failed: broken, seed 0: ValueError: this policy fails; broken, seed 1"
    )
    assert len(said.splitlines()) == 1
    [log] = tmp_path.glob("runs/bench/interest/*/run.log")
    assert 'raise ValueError("this policy fails")' in log.read_text()
    assert list(tmp_path.glob("runs/bench/interest/*/metrics.json"))


@pytest.mark.parametrize("users", [1, 2])
def test_fewer_users_than_the_report_shows_are_all_shown(users: int, tmp_path: Path) -> None:
    small = ["policy=[random,greedy]", "steps=2", "seeds=1", "processes=1", f"users={users}"]
    assert main(["bench", *small, f"run={tmp_path / 'run'}"]) == DONE
    assert (tmp_path / "run/report.html").read_text().count("<article") == users


@pytest.mark.parametrize("key", ["steps", "users", "slots", "seeds"])
def test_none_of_something_is_refused_by_its_key(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "policy=[random]", f"{key}=0"]) == REFUSED
    assert capsys.readouterr().err == f"recsys bench: {key}=0: expected at least 1\n"


@pytest.mark.parametrize("name", ["../../evil", "a/b", ".."])
def test_a_policy_whose_name_leaves_the_run_folder_is_refused(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine" / "policy").mkdir(parents=True)
    text = f"# @package _global_\n# Mine.\npolicies:\n  '{name}':\n    _target_: recsys.policies.UniformPolicy\n"
    (tmp_path / "mine" / "policy" / "own.yaml").write_text(text + "    num_items: 10\n")
    assert main(["bench", "--config-dir", str(tmp_path / "mine"), "policy=[own]"]) == REFUSED
    assert f"{name!r} names a folder" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["null", "3"])
def test_a_group_that_is_no_name_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", f"policy={value}"]) == REFUSED
    assert f"policy={value}: a group takes the name of an option; known: " in capsys.readouterr().err
