"""A system from outside the package: one file and a configuration make a policy of sessions that learns by slot."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

import recsys
from recsys.cli.main import main
from recsys.policies import AutoregressiveSlatePolicy
from recsys.systems import step_generator

HERE = Path(__file__).parent / "session"
ITEMS = 20


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `exposures` table whose users walk over a ring of items, two places a request.

    Each request shows the next two items, of which the first is watched whole and the second by half, and one item
    that nobody watches.
    """
    rows = [
        {
            "user_id": user,
            "item_id": (user + 2 * place + ahead) % ITEMS,
            "timestamp": 100 * place + user,
            "request_id": 100 * user + place,
            "click": int(watched > 0),
            "watched": watched,
        }
        for user in range(40)
        for place in range(8)
        for ahead, watched in ((1, 1.0), (2, 0.5), (11, 0.0))
    ]
    (tmp_path / "tables").mkdir()
    pl.DataFrame(rows).write_parquet(tmp_path / "tables" / "exposures.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(HERE)
    return tmp_path


def curve(training: Path, metric: str) -> list[float]:
    history = pl.read_parquet(training / "history.parquet")
    return history.filter(pl.col("metric") == metric).sort("step")["value"].to_list()


def test_every_slot_earns_more_than_with_shuffled_rewards(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--config-dir", str(HERE / "conf"), "experiment=session", "dataset.root=tables"]
    state = torch.get_rng_state()
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
        assert learned[0] < 0.2
        assert learned[-1] > 0.3
        assert max(shuffled) < 0.2

    policy = recsys.load(run, "session")
    assert isinstance(policy, AutoregressiveSlatePolicy), "it answers as it was trained"
    assert torch.equal(torch.get_rng_state(), state), "generators of the process are left as they were"
    last = recsys.Jagged.from_rows([[item] for item in range(ITEMS)])
    requests = recsys.Context(torch.arange(ITEMS), last, recsys.Jagged.empty(ITEMS))
    slates = policy.sample(requests, 64, 2, step_generator(0, 0, 0, torch.device("cpu")))
    ahead = (slates.items - torch.arange(ITEMS).view(-1, 1, 1)) % ITEMS
    assert ((ahead == 1) | (ahead == 2)).float().mean() > 0.3, "chance is a tenth"
