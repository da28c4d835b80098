"""Data and settings from which sessions cannot be learned are refused through the command, before a training begins."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.cli.main import main
from tests.training.test_sessions import SMALL

RULE = "sessions=[{_target_: recsys.data.datasets.session_rules.SessionRules, positive: {%s: %d}}]"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory whose table has twelve users with three sessions each: 0, 1 or 2 clicks by user."""
    rows = []
    for user in range(12):
        for place in range(9):
            click = int((user + place**2) % 3 == 0)
            rows.append((user, (user + 5 * place) % 12, 100 * place + user, click, click * (place % 2)))
    (tmp_path / "tables").mkdir()
    table = pl.DataFrame(rows, ["user_id", "item_id", "timestamp", "click", "like"], orient="row")
    table.write_parquet(tmp_path / "tables" / "exposures.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["+labels.like.threshold=5.0"], "labels.like: it is 0 in all "),
        ([RULE % ("follow", 1)], "SessionRules.positive: tables has no feedback 'follow'"),
        (["evaluation.engaged=[follow]"], "evaluation.engaged: tables has no feedback 'follow'"),
        (["clusters=32"], "32 codes a level need at least as many item vectors, found 12"),
    ],
)
def test_data_that_a_later_stage_cannot_work_with_are_refused_once_they_are_prepared(
    folder: Path, overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *SMALL, *overrides, "run=run"]) == 2
    shown, told = capsys.readouterr()
    assert message in told and len(told.splitlines()) == 1
    assert "prepare: done" in shown and "tokenize: begins" not in shown
    assert not [file for file in Path("run/stages").rglob("*") if file.is_file() and "prepare" not in file.parts]


def test_weights_of_a_head_that_is_not_there_are_refused_before_the_data_are_read(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *SMALL, "weights={follow: 1.0}", "run=run"]) == 2
    assert "weights: the reward model has no head 'follow'; it has click, like" in capsys.readouterr().err
    assert not Path("run").exists()
