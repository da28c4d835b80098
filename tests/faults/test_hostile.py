"""A run folder of a stranger runs no code, wherever it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from omegaconf import OmegaConf

import recsys
from recsys.cli.main import main
from recsys.errors import ConfigurationError
from tests.faults.runs import arguments, copied, made
from tests.in_process import played_here

__all__ = ["played_here"]

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("hostile"))


def touching(file: Path) -> dict[str, Any]:
    """A configuration that makes a file where it is instantiated."""
    return {"_target_": "os.system", "command": f"touch {file}"}


def in_recipe(run: Path, file: Path) -> None:
    _change(run / "stages/train/sft/artifact.json", lambda kept: {**kept, "recipe": touching(file)})


def inside_recipe(run: Path, file: Path) -> None:
    def nested(kept: dict[str, Any]) -> dict[str, Any]:
        return {**kept, "recipe": {**kept["recipe"], "feed_forward": touching(file)}}

    _change(run / "stages/train/sft/artifact.json", nested)


def in_policy(run: Path, file: Path) -> None:
    _change(run / "stages/train/sft/artifact.json", lambda kept: {**kept, "policy": touching(file)})


def in_preparation(run: Path, file: Path) -> None:
    """`os.system` would be imported, `recsys.atomic.os` is not the package's."""
    _change(run / "stages/prepare/prepared.json", lambda kept: {"preparation": "recsys.atomic.os.system"})


def in_simulator(run: Path, file: Path) -> None:
    kind = "recsys.rollouts.preparation.SimulatorPreparation"
    _change(run / "stages/prepare/prepared.json", lambda kept: {"preparation": kind})
    (run / "stages/prepare/simulator.json").write_text(json.dumps({"name": "x", "simulator": touching(file)}))


IN_ARTIFACT = [in_recipe, inside_recipe, in_policy]
HOSTILE = [*IN_ARTIFACT, in_preparation, in_simulator]


def _change(file: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))
    for mark in (file.parent / "fingerprint.json", file.parents[1] / "fingerprint.json"):  # a stranger's marks fit
        if mark.exists():
            mark.write_text(json.dumps({"fingerprint": json.loads(mark.read_text())["fingerprint"]}))


def changed(change: Callable[[Path, Path], None], run: Path, folder: Path) -> Path:
    """A copy of the run that would make the file `made`."""
    copy = copied(run, folder)
    change(copy, folder / "made")
    return copy


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest, run: Path, tmp_path: Path) -> Path:
    return changed(request.param, run, tmp_path)


@pytest.fixture(params=IN_ARTIFACT)
def hostile_artifact(request: pytest.FixtureRequest, run: Path, tmp_path: Path) -> Path:
    return changed(request.param, run, tmp_path)


def refused(command: list[str], file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command) == 2, "nothing but a refusal"
    told = capsys.readouterr().err
    assert "A run folder is data" in told and "Traceback" not in told
    assert not file.exists()


def test_recommend(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refused(["recommend", f"run={hostile}", "user=u3"], tmp_path / "made", capsys)


@pytest.mark.parametrize("key", ["evaluation.baselines.popularity", "evaluation.mixed"])
def test_recommend_by_the_rows_of_the_evaluation(
    key: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The answering row is asked of the evaluation that the folder keeps."""
    copy = copied(run, tmp_path)
    config = OmegaConf.load(copy / "config.yaml")
    OmegaConf.update(config, key, touching(tmp_path / "made"), merge=False, force_add=True)
    OmegaConf.save(config, copy / "config.yaml")
    refused(["recommend", f"run={copy}", "user=u3"], tmp_path / "made", capsys)


def test_load(hostile_artifact: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="A run folder is data"):
        recsys.load(hostile_artifact, "sft")
    assert not (tmp_path / "made").exists()


def bench(policy: str, run: Path, folder: Path) -> list[str]:
    given = [f"policies.{policy}.run={run}", *(["policies.trained.name=sft"] if policy == "trained" else [])]
    return ["bench", f"policy=[{policy},random]", *given, "limit=2", f"root={folder}", "simulator=slate/planted"]


def test_bench_of_a_checkpoint(
    hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], played_here: None
) -> None:
    refused(bench("checkpoint", hostile, tmp_path / "bench"), tmp_path / "made", capsys)


def test_bench_of_a_training(
    hostile_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], played_here: None
) -> None:
    refused(bench("trained", hostile_artifact, tmp_path / "bench"), tmp_path / "made", capsys)


def test_replay(hostile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = pl.DataFrame({"action": ["i1", "i2"] * 20, "reward": [0.0, 1.0] * 20, "propensity": [0.5] * 40})
    log.write_parquet(tmp_path / "log.parquet")
    given = ["log=parquet", f"log.path={tmp_path / 'log.parquet'}", "policy=[checkpoint]", f"policy.run={hostile}"]
    refused(["replay", *given, f"root={tmp_path / 'replay'}"], tmp_path / "made", capsys)


@pytest.mark.parametrize("change", IN_ARTIFACT)
def test_the_start_of_a_training(
    change: Callable[[Path, Path], None], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the run itself, with a mark that fits."""
    copy = copied(run, tmp_path)
    change(copy, tmp_path / "made")
    onward = ["+training@train.more=sft_continued", f"run={copy}"]
    refused([*arguments(run.parent), *onward], tmp_path / "made", capsys)


@pytest.mark.parametrize("key", ["trainer.callbacks", "train.sft.system.objective", "stage.other", "evaluation"])
def test_a_run_folder_alone(key: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = copied(run, tmp_path)
    kept = OmegaConf.load(copy / "config.yaml")
    OmegaConf.update(kept, key, touching(tmp_path / "made"), force_add=True)
    (copy / "config.yaml").write_text(OmegaConf.to_yaml(kept))
    refused(["train", f"run={copy}"], tmp_path / "made", capsys)
    refused(["prepare", f"run={copy}"], tmp_path / "made", capsys)


def test_what_is_whole_is_read_from_a_copy(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = copied(run, tmp_path)
    assert main(["recommend", f"run={copy}", "user=u3"]) == 0
    assert main(["train", f"run={copy}", "modules=[tests.faults.runs]"]) == 0
