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
    assert "broken, seed 0: ValueError: this policy fails" in capsys.readouterr().err
    assert list(tmp_path.glob("runs/bench/interest/*/metrics.json"))
