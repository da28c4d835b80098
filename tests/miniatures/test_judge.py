"""A reward model from outside the package: its artifact rewards another training, and no table of policies lists it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

import recsys
from recsys.cli.main import main
from recsys.errors import ConfigurationError
from recsys.runs.artifacts import Artifact, artifact_folder, artifacts, best_artifact
from recsys.runs.run_folder import RunFolder
from recsys.stored import Trusted, trusting
from recsys.types.artifact_kind import ArtifactKind

HERE = Path(__file__).parent / "judge"
ITEMS = 20
OTHERS = ["~start", *(f"~train.{name}" for name in ("sasrec", "sft", "sft_continued", "rere", "rere_lambda"))]


def trained(*overrides: str) -> int:
    given = ["--config-dir", str(HERE / "conf"), "experiment=judge", "dataset.root=tables", *OTHERS, *overrides]
    return main(["train", *given])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An `interactions` table whose users walk over a ring of items, three places at a time."""
    rows = [(user, (user + 3 * place) % ITEMS, place) for user in range(40) for place in range(6)]
    (tmp_path / "tables").mkdir()
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "order"], orient="row")
    table.write_parquet(tmp_path / "tables" / "interactions.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(HERE)
    return tmp_path


def curve(run: RunFolder, training: str, metric: str) -> list[float]:
    history = pl.read_parquet(artifact_folder(run, training) / "history.parquet")
    return history.filter(pl.col("metric") == metric).sort("step")["value"].to_list()


def test_a_reward_model_rewards_another_training_and_stands_in_no_table(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained() == 0
    run = RunFolder(folder / capsys.readouterr().out.splitlines()[-1])
    with trusting(Trusted(modules=frozenset({"judge"}))):
        assert [one.name for one in artifacts(run)] == ["item_vectors", "judge", "judged"], (
            "in the order that names ask for"
        )
        judge, judged = (Artifact.read(artifact_folder(run, name)) for name in ("judge", "judged"))
    assert (judge.kind, judge.monitor, judge.mode) == (ArtifactKind.REWARD_MODEL, "validation/loss", "min")
    assert judge.score == pytest.approx(min(curve(run, "judge", "validation/loss")))
    assert set(json.loads(run.metrics.read_text())) == {"popularity", "markov", "item_knn", "judged", "mixture"}
    with pytest.raises(ConfigurationError, match=r"'judge' was chosen by validation/loss \(min\) and 'judged' by"):
        best_artifact([judge, judged])

    model = recsys.load(run.path, "judge", modules=["judge"])
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    last = recsys.Jagged.from_rows([[item] for item in range(ITEMS)])
    histories = recsys.Context(torch.arange(ITEMS), last, excluded=last)
    odds = model(histories, torch.arange(ITEMS).expand(ITEMS, 1, ITEMS)).squeeze(1)
    follows = (torch.arange(ITEMS) + 3) % ITEMS
    assert (odds.argmax(1) == follows).float().mean() > 0.8, "it learned which item follows"
    reward = curve(run, "judged", "train/reward_mean")
    assert reward[-1] > reward[0] + 0.1, "and the policy learned from it"


def test_a_name_that_no_training_leaves_is_refused_before_anything_runs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained("train.judged.system.reward.judge.name=jugde") == 2
    assert "train.judged: it needs 'jugde', which no training leaves; did you mean 'judge'?" in capsys.readouterr().err
    assert not (folder / "runs").exists()
