"""The code of docs/guide/extend.md, written to files and run as the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from recsys.cli.main import main

PAGE = Path(__file__).parents[1] / "docs/guide/extend.md"
SESSION = Path(__file__).parent / "miniatures/session"
BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = dict(BLOCK.findall(PAGE.read_text()))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files beside a small `interactions` table, as working directory and on the Python path."""
    for name, text in FILES.items():
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
    small = ["experiment=rere/parquet", "dataset.root=tables", "data.k_core=0", "clusters=8", "debug=limit"]
    others = [f"~train.{name}" for name in ("sasrec", "sft_continued", "rere", "rere_lambda")]
    added = "+training@train.surprising=surprising"
    return main(["train", "--config-dir", "my_conf", *small, *others, added, *overrides])


def test_the_session_policy_of_the_page_is_the_one_that_is_trained_in_the_tests() -> None:
    """`tests/miniatures/test_session.py` trains it."""
    shown = {"session_policy.py": FILES["session_policy.py"]}
    shown |= {name.replace("my_conf", "conf"): text for name, text in FILES.items() if "session" in text}
    shown = {name: text for name, text in shown.items() if "my_parts" not in text}
    assert len(shown) == 5
    for name, text in shown.items():
        assert (SESSION / name).read_text().strip() == text.strip(), name
    assert len([*SESSION.rglob("*.yaml")]) == 4


def test_parts_from_outside_stand_in_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("evaluation.references=[sft]", "stages=[prepare,tokenize,train,evaluate]") == 0
    run = folder / capsys.readouterr().out.splitlines()[-1]
    rows = json.loads((run / "metrics.json").read_text())
    assert {"surprising", "sft"} <= set(rows)


def test_a_wrong_key_of_a_part_from_outside_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train("+train.surprising.system.reward.cpa=1.0") == 2
    assert "SurprisingHit has no argument 'cpa'; did you mean 'cap'?" in capsys.readouterr().err
