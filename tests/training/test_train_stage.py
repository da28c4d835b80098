from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
import torch
from omegaconf import OmegaConf

from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.loader import PackedLoader
from recsys.data.datasets.preparation import SequencePreparation
from recsys.data.datasets.split import GlobalTime
from recsys.data.sources.parquet import ParquetTables
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import ExtraCode
from recsys.items.cooccurrence import PpmiSvd
from recsys.models.generators.sasrec import SASRec
from recsys.runs.artifacts import Artifact, artifact_folder, artifacts, load, load_model
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import Prepare, load_data_of
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import Tokenize
from recsys.training.train_stage import Train
from recsys.types.artifact_kind import ArtifactKind
from tests.fitting import Ctrl, same_weights
from tests.training.trainings import ADAM, LOADER, NEXT_ITEM, SASREC, TRAINER, going_on, training_of

Make = Callable[..., RunFolder]
CONTINUED = {**NEXT_ITEM, "optimizer": {**ADAM, "lr": 0.02}}


def written(run: RunFolder, name: str) -> int:
    return (artifact_folder(run, name) / "weights.safetensors").stat().st_mtime_ns


def names(run: RunFolder) -> list[str]:
    return [one.name for one in artifacts(run, ArtifactKind.POLICY)]


def test_trainings_side_by_side_and_one_that_goes_on_from_another(train: Make) -> None:
    run = train({"more": going_on("sft", system=CONTINUED), "sasrec": training_of(model=SASREC), "sft": training_of()})
    assert names(run) == ["sasrec", "sft", "more"], "each after what it needs, otherwise as written"
    networks = {name: load(run, name).network for name in ("sasrec", "sft", "more")}
    assert isinstance(networks["sasrec"], SASRec)
    assert not same_weights(networks["more"], networks["sft"])
    assert (run.checkpoint("train") / "more" / "last.ckpt").exists()
    history = pl.read_parquet(run.stage("train") / "history.parquet")
    assert history.columns == ["step", "metric", "value"]
    assert {"sasrec/train/loss", "sft/train/loss", "sft/validation/ndcg@10"} <= set(history["metric"])


def test_an_artifact_says_what_it_is_and_how_good(train: Make) -> None:
    run = train({"sft": training_of(epochs=3)})
    artifact = Artifact.read(artifact_folder(run, "sft"))
    curve = pl.read_parquet(artifact_folder(run, "sft") / "history.parquet").filter(metric="validation/ndcg@10")
    assert (artifact.kind, artifact.monitor, artifact.mode) == (ArtifactKind.POLICY, "validation/ndcg@10", "max")
    assert artifact.score == curve["value"].max()
    assert artifact.materials == load_bundle(run).fingerprint


def test_a_start_is_where_the_other_training_ended(train: Make) -> None:
    still = {**NEXT_ITEM, "optimizer": {**ADAM, "lr": 0.0, "weight_decay": 0.0}}
    run = train({"sft": training_of(), "more": going_on("sft", system=still)})
    first, second = (load_model(artifact_folder(run, name), load_bundle(run)) for name in ("sft", "more"))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value)


def test_what_needs_a_changed_training_is_made_anew_and_nothing_else(train: Make) -> None:
    trainings = {"sft": training_of(), "more": going_on("sft"), "other": training_of(model=SASREC)}
    run = train(trainings)
    before = {name: written(run, name) for name in trainings}
    train(trainings)
    assert {name: written(run, name) for name in trainings} == before
    train({**trainings, "sft": training_of(epochs=2)})
    assert [name for name in trainings if written(run, name) > before[name]] == ["sft", "more"]
    assert pl.read_parquet(artifact_folder(run, "sft") / "history.parquet")["step"].is_sorted()


def test_trainings_that_are_configured_no_more_are_forgotten(train: Make) -> None:
    run = train({"one": training_of(), "other": training_of(model=SASREC)})
    train({"one": training_of()})
    assert names(run) == ["one"]
    assert [one.name for one in run.checkpoint("train").iterdir()] == ["one"]


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"limit": 1}, {"overfit": 1}, {"trainer": {**TRAINER, "precision": "bf16-mixed"}}]
)
def test_what_a_training_depends_on(change: dict[str, Any], train: Make) -> None:
    run = train({"sft": training_of()})
    before = written(run, "sft")
    train({"sft": training_of()}, **change)
    assert written(run, "sft") > before
    first = pl.read_parquet(artifact_folder(run, "sft") / "history.parquet")["step"][0]
    assert first == 1, "it begins anew, not from the other training's checkpoint"


def test_a_training_is_made_anew_on_other_items(train: Make, prepared: RunFolder) -> None:
    before = written(train({"sft": training_of()}), "sft")
    Tokenize(PpmiSvd(dimensions=6), BalancedKMeans(levels=1, codes=5), ExtraCode()).run(prepared)
    run = train({"sft": training_of()})
    assert written(run, "sft") > before
    assert load(run, "sft").network.trie.level_size == (1, 5, 30)


def test_a_training_is_made_anew_on_other_data(train: Make, prepared: RunFolder) -> None:
    """The items and their codes are the same."""
    before, codes = written(train({"sft": training_of()}), "sft"), load_bundle(prepared).fingerprint
    folder = prepared.path.parent
    tables, root = ParquetTables(folder / "tables"), str(folder / "data")
    Prepare(SequencePreparation(tables, GlobalTime(), k_core=0, root=root)).run(prepared)
    assert written(train({"sft": training_of()}), "sft") > before
    assert load_bundle(prepared).fingerprint == codes


def test_limit_overfit_and_profiler_reach_the_training(train: Make) -> None:
    run = train({"sft": training_of(epochs=9)}, limit=2, overfit=1, profiler="simple")
    assert pl.read_parquet(artifact_folder(run, "sft") / "history.parquet")["step"].max() == 4
    assert (run.checkpoint("train") / "sft" / "fit-profile.txt").exists()


def test_an_interrupted_stage_goes_on_in_the_training_it_stood_in(
    train: Make, prepared: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainings = {"one": training_of(), "other": training_of(model=SASREC, epochs=3)}
    epoch = len(PackedLoader(load_data_of(prepared, Dataset).train, LOADER["positions"], LOADER["max_length"]))
    monkeypatch.setattr(Ctrl, "interrupt_after", 2 * epoch + 1)
    with pytest.raises(SystemExit):
        train(trainings)
    assert names(prepared) == ["one"]
    before = written(prepared, "one")
    step = torch.load(prepared.checkpoint("train") / "other" / "last.ckpt", weights_only=True)["global_step"]
    assert step == epoch
    run = train(trainings)
    assert written(run, "one") == before
    curve = pl.read_parquet(artifact_folder(run, "other") / "history.parquet").filter(metric="validation/ndcg@10")
    assert step in curve["step"].to_list()
    assert len(curve) == 3


def test_it_is_a_stage_that_runs_in_every_process() -> None:
    stage = Train({"sft": training_of()}, OmegaConf.create(TRAINER))
    assert isinstance(stage, Stage)
    assert stage.all_ranks and stage.incremental
