"""A system from outside the package: one file and a configuration make a policy of sessions that learns by slot."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from recsys.cli.main import main

HERE = Path(__file__).parent / "session"
ITEMS = 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `interactions` table whose users walk over the ring of items."""
    rows = [(user, (user + 3 * place) % ITEMS, place) for user in range(40) for place in range(6)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "order"], orient="row")
    (tmp_path / "tables").mkdir()
    table.write_parquet(tmp_path / "tables" / "interactions.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(HERE)
    return tmp_path


def curve(training: Path, metric: str) -> list[float]:
    history = pl.read_parquet(training / "history.parquet")
    return history.filter(pl.col("metric") == metric).sort("step")["value"].to_list()


def test_every_slot_earns_more_than_with_shuffled_rewards(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others = ["~start", *(f"~train.{name}" for name in ("sasrec", "sft", "sft_continued", "rere", "rere_lambda"))]
    given = ["--config-dir", str(HERE / "conf"), "experiment=session", "dataset.root=tables", *others]
    assert main(["train", *given]) == 0
    run = folder / capsys.readouterr().out.splitlines()[-1]
    trained = {file.parent.name: file.parent for file in run.rglob("artifact.json")}
    artifact = json.loads((trained["session"] / "artifact.json").read_text())
    assert artifact["kind"] == "policy"
    assert artifact["monitor"] == "validation/session_reward"
    for slot in (1, 2):
        learned, shuffled = (
            curve(trained[name], f"validation/slot_reward/{slot}") for name in ("session", "session_shuffled")
        )
        assert learned[0] < 0.1
        assert learned[-1] > 0.2
        assert max(shuffled) < 0.1
