from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import torch

from recsys.data.datasets.loader import PackedLoader
from recsys.data.datasets.split import GlobalTime
from recsys.data.sources.parquet import ParquetTables
from recsys.errors import ConfigurationError
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import ExtraCode
from recsys.items.cooccurrence import PpmiSvd
from recsys.models.generators.sasrec import SASRec
from recsys.runs.artifacts import Artifact, artifact_folder, artifacts, best_artifact, load_model
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import Prepare, load_dataset
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from recsys.runs.tokenize import Tokenize
from recsys.training.sequence_training import SequenceTraining
from recsys.types.artifact_kind import ArtifactKind
from tests.fitting import Ctrl, same_weights
from tests.training.arms import ADAM, LOADER, NEXT_ITEM, SASREC, TRAINER, arm_of, configuration

Train = Callable[..., RunFolder]
CONTINUED = {**NEXT_ITEM, "optimizer": {**ADAM, "lr": 0.02}}


def written(run: RunFolder, name: str) -> int:
    return (artifact_folder(run, name) / "weights.safetensors").stat().st_mtime_ns


def test_arms_side_by_side_and_one_that_goes_on_from_another(train: Train) -> None:
    run = train({"sasrec": arm_of(network=SASREC), "sft": arm_of()})
    train({"more": arm_of(network=None, start="sft", system=CONTINUED)}, name="rl")
    assert [one.name for one in artifacts(run, ArtifactKind.POLICY)] == ["sasrec", "sft", "more"]
    bundle = load_bundle(run)
    networks = {name: load_model(artifact_folder(run, name), bundle) for name in ("sasrec", "sft", "more")}
    assert isinstance(networks["sasrec"], SASRec)
    assert not same_weights(networks["more"], networks["sft"])
    assert (run.checkpoint("rl") / "more" / "last.ckpt").exists()
    history = pl.read_parquet(run.stage("sft") / "history.parquet")
    assert history.columns == ["step", "metric", "value"]
    assert {"sasrec/train/loss", "sft/train/loss", "sft/validation/ndcg@10"} <= set(history["metric"])


def test_a_start_is_where_the_other_arm_ended(train: Train) -> None:
    train({"sft": arm_of()})
    still = {**NEXT_ITEM, "optimizer": {**ADAM, "lr": 0.0, "weight_decay": 0.0}}
    run = train({"more": arm_of(network=None, start="sft", system=still)}, name="rl")
    first, second = (load_model(artifact_folder(run, name), load_bundle(run)) for name in ("sft", "more"))
    for name, value in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], value)


def test_unchanged_arms_are_left_as_they_are(train: Train) -> None:
    run = train({"one": arm_of(), "other": arm_of(network=SASREC)})
    before = {name: written(run, name) for name in ("one", "other")}
    train({"one": arm_of(), "other": arm_of(network=SASREC, epochs=2)})
    assert written(run, "one") == before["one"]
    assert written(run, "other") > before["other"]
    assert pl.read_parquet(artifact_folder(run, "other") / "history.parquet")["step"].is_sorted()


def test_arms_that_are_configured_no_more_are_forgotten(train: Train) -> None:
    run = train({"one": arm_of(), "other": arm_of(network=SASREC)})
    train({"one": arm_of()})
    assert [one.name for one in artifacts(run, ArtifactKind.POLICY)] == ["one"]
    assert [one.name for one in run.checkpoint("sft").iterdir()] == ["one"]


def test_an_arm_is_trained_anew_where_its_start_changed(train: Train) -> None:
    run = train({"sft": arm_of()})
    train({"more": arm_of(network=None, start="sft")}, name="rl")
    before = written(run, "more")
    train({"sft": arm_of(epochs=2)})
    train({"more": arm_of(network=None, start="sft")}, name="rl")
    assert written(run, "more") > before


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"limit": 1}, {"overfit": 1}, {"trainer": {**TRAINER, "precision": "bf16-mixed"}}]
)
def test_what_an_arm_depends_on(change: dict[str, Any], train: Train) -> None:
    run = train({"sft": arm_of()})
    before = written(run, "sft")
    train({"sft": arm_of()})
    assert written(run, "sft") == before
    train({"sft": arm_of()}, **change)
    assert written(run, "sft") > before
    first = pl.read_parquet(artifact_folder(run, "sft") / "history.parquet")["step"][0]
    assert first == 1, "it begins anew, not from the other training's checkpoint"


def test_an_arm_is_trained_anew_on_other_items(train: Train, prepared: RunFolder) -> None:
    before = written(train({"sft": arm_of()}), "sft")
    Tokenize(PpmiSvd(dimensions=6), BalancedKMeans(levels=1, codes=5), ExtraCode()).run(prepared)
    run = train({"sft": arm_of()})
    assert written(run, "sft") > before
    assert load_model(artifact_folder(run, "sft"), load_bundle(run)).trie.level_size == (1, 5, 30)


def test_an_arm_is_trained_anew_on_other_data(train: Train, prepared: RunFolder) -> None:
    """The items and their codes are the same."""
    before, codes = written(train({"sft": arm_of()}), "sft"), load_bundle(prepared).fingerprint
    folder = prepared.path.parent
    Prepare(ParquetTables(folder / "tables"), GlobalTime(), k_core=0, root=str(folder / "data")).run(prepared)
    assert written(train({"sft": arm_of()}), "sft") > before
    assert load_bundle(prepared).fingerprint == codes


def test_limit_overfit_and_profiler_reach_the_training(train: Train) -> None:
    run = train({"sft": arm_of(epochs=9)}, limit=2, overfit=1, profiler="simple")
    assert pl.read_parquet(artifact_folder(run, "sft") / "history.parquet")["step"].max() == 4
    assert (run.checkpoint("sft") / "sft" / "fit-profile.txt").exists()


def test_an_interrupted_stage_goes_on_in_the_arm_it_stood_in(
    train: Train, prepared: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    arms = {"one": arm_of(), "other": arm_of(network=SASREC, epochs=3)}
    epoch = len(PackedLoader(load_dataset(prepared).train, LOADER["positions"], LOADER["max_length"]))
    monkeypatch.setattr(Ctrl, "interrupt_after", 2 * epoch + 1)
    with pytest.raises(SystemExit):
        train(arms)
    assert [one.name for one in artifacts(prepared, ArtifactKind.POLICY)] == ["one"]
    before = written(prepared, "one")
    step = torch.load(prepared.checkpoint("sft") / "other" / "last.ckpt", weights_only=True)["global_step"]
    assert step == epoch
    run = train(arms)
    assert written(run, "one") == before
    curve = pl.read_parquet(artifact_folder(run, "other") / "history.parquet").filter(metric="validation/ndcg@10")
    assert step in curve["step"].to_list()
    assert len(curve) == 3


@pytest.mark.parametrize("arm", [arm_of(start="sft"), arm_of(network=None)])
def test_a_network_or_a_start(arm: dict[str, Any], train: Train) -> None:
    with pytest.raises(ConfigurationError, match=r"stage\.sft\.arms\.wrong: give either `network` or `start`"):
        train({"wrong": arm})


def test_an_unknown_start_names_the_arms_there_are(train: Train) -> None:
    train({"sft": arm_of()})
    with pytest.raises(ConfigurationError, match=r"there is no artifact 'stf' in .*; did you mean 'sft'"):
        train({"more": arm_of(network=None, start="stf")}, name="rl")


def test_the_best_arm_is_that_which_validates_best(train: Train) -> None:
    run = train({"one": arm_of(), "other": arm_of()})
    for name, value in (("one", 0.2), ("other", 0.3)):
        folder = artifact_folder(run, name)
        replace(Artifact.read(folder), score=value).write(folder)
    found = artifacts(run, ArtifactKind.POLICY)
    assert best_artifact(found).name == "other"
    assert best_artifact(found[:1]).name == "one"


def test_it_is_a_stage_that_runs_in_every_process() -> None:
    stage = SequenceTraining("sft", configuration({"sft": arm_of()}), configuration(TRAINER), inputs=["prepare"])
    assert isinstance(stage, Stage)
    assert stage.everywhere and stage.inputs == ["prepare"]
