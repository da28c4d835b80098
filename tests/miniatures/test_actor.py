"""A system from outside the package: one file and a configuration make an actor-critic that learns in a simulator."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import load_file

from recsys.cli.main import INTERRUPTED, main
from tests.fitting import Ctrl

HERE = Path(__file__).parent / "actor"
GIVEN = ["--config-dir", str(HERE / "conf"), "experiment=interest_actor"]
GIVEN += ["trainer._target_=tests.fitting.configured_trainer", "~trainer.devices"]
TRAINED = Path("stages/train/interest_actor")


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder of its own, where Python finds the file; Lightning goes deaf to Ctrl-C."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(HERE)
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


def test_killed_and_resumed_it_equals_the_uninterrupted_and_earns_more_than_chance(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *GIVEN, "run=whole"]) == 0
    monkeypatch.setattr(Ctrl, "interrupt_after", 9)
    assert main(["train", *GIVEN, "run=killed"]) == INTERRUPTED
    assert not (Path("killed") / TRAINED / "artifact.json").exists()
    assert (
        main(["train", "--config-dir", str(HERE / "conf"), "run=killed", "modules=[interest_actor,tests.fitting]"]) == 0
    )
    weights, again = (load_file(Path(run) / TRAINED / "weights.safetensors") for run in ("whole", "killed"))
    assert weights.keys() == again.keys() and all(weights[name].equal(again[name]) for name in weights)
    curves = [pl.read_parquet(Path(run) / TRAINED / "history.parquet") for run in ("whole", "killed")]
    assert curves[0].equals(curves[1])

    capsys.readouterr()
    policies = ["policy=[random,greedy,trained]", "policies.trained.run=whole", "policies.trained.name=interest_actor"]
    size = ["+simulator.budget=40.0", "users=100", "steps=15", "seeds=1", "processes=1"]
    assert main(["bench", *policies, *size]) == 0
    rows = json.loads((Path(capsys.readouterr().out.splitlines()[-1]) / "metrics.json").read_text())
    assert rows.keys() == {"interest/random", "interest/greedy", "interest/trained"}
    assert rows["interest/trained"]["reward_minus_random"]["low"] > 0
