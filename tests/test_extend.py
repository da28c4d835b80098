"""The code of docs/guide/extend.md, written to files and run as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from recsys.cli.main import main

PAGE = Path(__file__).parents[1] / "docs/guide/extend.md"
BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDED = ["best_of_many", "rere_pair"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files beside a small `interactions` table, as working directory and on the Python path."""
    for name, text in BLOCK.findall(PAGE.read_text()):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rows = [(user, (user + 3 * place) % 40, place) for user in range(60) for place in range(6)]
    (tmp_path / "tables").mkdir()
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "order"], orient="row")
    table.write_parquet(tmp_path / "tables" / "interactions.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def train(*overrides: str) -> int:
    small = ["dataset.root=tables", "data.k_core=0", "clusters=8", "debug=limit"]
    others = ["~train.sasrec", "~train.rere_lambda"]
    return main(["train", "--config-dir", "my_conf", *small, *others, *overrides])


def test_parts_from_outside_stand_in_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("experiment=mine", "~train.rere", "stages=[prepare,tokenize,train,evaluate]") == 0
    run = folder / capsys.readouterr().out.splitlines()[-1]
    rows = json.loads((run / "metrics.json").read_text())
    assert {*ADDED, "sft", "sft_continued"} <= set(rows)


def test_a_wrong_key_of_a_part_from_outside_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("experiment=mine", "+train.best_of_many.system.reward.cpa=1.0") == 2
    assert "SurprisingHit has no argument 'cpa'; did you mean 'cap'?" in capsys.readouterr().err


def test_a_training_is_added_by_an_override(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    added = ["+training@train.best_of_many=best_of_many", "stages=[prepare,tokenize,train]"]
    assert train("experiment=rere/parquet", *added) == 0
    run = folder / capsys.readouterr().out.splitlines()[-1]
    assert list(run.rglob("best_of_many/weights.safetensors"))
