"""Prepare, train, evaluate and report on the slates of a small planted world."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from omegaconf import OmegaConf

from recsys.data.datasets.preparation import SlatePreparation
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.data.datasets.slate_data import SlateData
from recsys.data.datasets.slate_loader import SlateLoader
from recsys.data.datasets.split import split_slates_by_steps
from recsys.errors import ConfigurationError, DataError, RequestError
from recsys.runs.artifacts import Artifact, artifact_folder, load, load_model
from recsys.runs.prepare import Prepare, load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.planted_groups import PlantedGroups
from recsys.simulate.simulated_slates import SimulatedSlates
from recsys.training.evaluate import Evaluate
from recsys.training.forecast_evaluation import ForecastEvaluation
from recsys.training.report import Report
from recsys.training.report_cards import SlateCards
from recsys.training.report_sections import Calibration, Configuration, LearningCurves, PairedDifferences, ResultsTable
from recsys.training.train_stage import Train
from recsys.types.artifact_kind import ArtifactKind
from tests.training.trainings import TRAINER

SOURCE = SimulatedSlates(
    PlantedGroups(30, 4, 3, sharpness=5.0, steps=6, choice=MultinomialLogit(no_click=-2.0)),
    users=120,
    shortest=2,
    longest=4,
)
SPLIT = partial(split_slates_by_steps, steps=2, validation=0.2, test=0.3)
NETWORK = {
    "_target_": "recsys.models.slates.slate_model.SlateModel.from_log",
    "_partial_": True,
    "items": {"_target_": "recsys.models.slates.item_posterior.GroupedItems.from_log", "_partial_": True, "width": 3},
    "user": {"_target_": "recsys.models.slates.user_state.GammaLinearUser"},
}
SYSTEM = {
    "_target_": "recsys.systems.slate_elbo.SlateElboSystem",
    "optimizer": {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.05},
    "initial_states": 2,
}
ALL_ITEMS = {"_target_": "recsys.data.datasets.slate_log.all_item_negatives", "_partial_": True, "negatives": 5}


def training(epochs: int = 2, answers: Any = None, **changes: Any) -> dict[str, Any]:
    loader = {"_target_": "recsys.data.datasets.slate_loader.SlateLoader", "_partial_": True, "users": 20}
    made = {
        "model": NETWORK,
        "system": SYSTEM,
        "data": {"_target_": "recsys.data.datasets.slate_data.SlateData", "loader": loader, "answers": answers},
        "schedule": {"_target_": "recsys.training.fit.Schedule", "max_epochs": epochs},
        **changes,
    }
    return {key: value for key, value in made.items() if value is not None}


def prepared(folder: Path) -> RunFolder:
    run = RunFolder(folder)
    Prepare(SlatePreparation(SOURCE, SPLIT)).run(run)
    return run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return prepared(tmp_path / "run")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Two trained models, to be read."""
    run = prepared(tmp_path_factory.mktemp("slates"))
    train(run, {"gamma": training(epochs=15), "flat": training(model=_flat())})
    return run


@pytest.fixture
def to_evaluate(trained: RunFolder, tmp_path: Path) -> RunFolder:
    """The same in a folder of one's own."""
    return RunFolder(Path(shutil.copytree(trained.path, tmp_path / "run")))


def train(run: RunFolder, trainings: dict[str, Any], **more: Any) -> None:
    Train(OmegaConf.create(trainings), OmegaConf.create(TRAINER), **more).run(run)


def curve(run: RunFolder, name: str) -> list[float]:
    frame = pl.read_parquet(artifact_folder(run, name) / "history.parquet")
    return frame.filter(pl.col("metric") == "validation/log_likelihood")["value"].to_list()


def test_the_prepared_log_is_the_sources(run: RunFolder) -> None:
    slates = load_data_of(run, PreparedSlates)
    assert slates.log.fingerprint == SOURCE.slates().fingerprint
    assert slates.split.fingerprint == SPLIT(slates.log).fingerprint


def test_training_learns_and_keeps_the_best_weights(trained: RunFolder) -> None:
    run = trained
    values = curve(run, "gamma")
    assert max(values) > values[0] + 0.02
    artifact = Artifact.read(artifact_folder(run, "gamma"))
    assert (artifact.kind, artifact.monitor) == (ArtifactKind.POSTERIOR, "validation/log_likelihood")
    assert artifact.score == pytest.approx(max(values))
    model = load(run, "gamma")
    best = torch.load(run.checkpoint("train") / "gamma" / "best.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, best[f"model.{key}"]) for key, value in model.state_dict().items())
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_trainings_go_on_from_others_and_unchanged_ones_stay(run: RunFolder) -> None:
    still = {**SYSTEM, "optimizer": {**SYSTEM["optimizer"], "lr": 0.0}}
    trainings = {"gamma": training(), "more": training(model=None, start="gamma", system=still)}
    train(run, trainings)
    gamma, more = (load(run, name) for name in ("gamma", "more"))
    for name, value in gamma.state_dict().items():
        torch.testing.assert_close(more.state_dict()[name], value)
    before = (artifact_folder(run, "gamma") / "weights.safetensors").stat().st_mtime_ns
    train(run, trainings)
    assert (artifact_folder(run, "gamma") / "weights.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("split", [{"test": 0.2}, {"seed": 1}])
def test_another_split_trains_anew(run: RunFolder, split: dict[str, Any]) -> None:
    train(run, {"gamma": training()})
    before = (artifact_folder(run, "gamma") / "weights.safetensors").stat().st_mtime_ns
    Prepare(SlatePreparation(SOURCE, partial(SPLIT, **split))).run(run)
    train(run, {"gamma": training()})
    assert (artifact_folder(run, "gamma") / "weights.safetensors").stat().st_mtime_ns > before


def test_weights_of_other_slates_are_refused(run: RunFolder) -> None:
    train(run, {"gamma": training()})
    log = load_data_of(run, PreparedSlates).log
    with pytest.raises(RequestError, match="the weights were trained on other slates than simulated as it is now"):
        load_model(artifact_folder(run, "gamma"), replace(log, fingerprint="other"))


def test_against_all_items_slates_are_what_was_drawn(run: RunFolder) -> None:
    train(run, {"all_item": training(answers=ALL_ITEMS, model={**NETWORK, "slots": 6}), "gamma": training()})
    models = {name: load(run, name) for name in ("all_item", "gamma")}
    assert len(models["all_item"].no_click.mean) == 6 and len(models["gamma"].no_click.mean) == 4
    assert curve(run, "all_item")[0] < curve(run, "gamma")[0], "a click among six by chance is harder to tell"


def test_overfit_goes_over_the_same_batches(run: RunFolder) -> None:
    train(run, {"gamma": training(epochs=3)}, overfit=1)
    frame = pl.read_parquet(artifact_folder(run, "gamma") / "history.parquet")
    assert frame["step"].max() == 60
    assert curve(run, "gamma")[-1] > curve(run, "gamma")[0]


def test_several_processes_are_refused(run: RunFolder) -> None:
    data = SlateData(load_data_of(run, PreparedSlates), partial(SlateLoader, users=20))
    with pytest.raises(ConfigurationError, match=r"slate models train in one process, found 2. Set devices: 1"):
        data.training_batches(0, 2)


def test_a_split_without_validation_is_refused(run: RunFolder) -> None:
    Prepare(SlatePreparation(SOURCE, partial(SPLIT, validation=0.0))).run(run)
    with pytest.raises(DataError, match="simulated: the split has no validation slates"):
        train(run, {"gamma": training()})


def evaluated(run: RunFolder, **options: Any) -> dict[str, Any]:
    Evaluate(ForecastEvaluation(references=["popularity", "flat"], draws=16, users=7, **options)).run(run)
    return json.loads(run.metrics.read_text())


def _flat() -> dict[str, Any]:
    items = {"_target_": "recsys.models.slates.item_posterior.FlatItems.from_log", "_partial_": True, "width": 3}
    return {**NETWORK, "items": items}


def test_evaluation_of_a_world_that_is_known(to_evaluate: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    run = to_evaluate
    metrics = evaluated(run, truth=SOURCE)
    assert list(metrics) == ["uniform", "popularity", "gamma", "flat", "truth"]
    likelihood = {row: cells["log_likelihood"]["value"] for row, cells in metrics.items()}
    assert likelihood["popularity"] < likelihood["gamma"] < likelihood["truth"]
    assert metrics["gamma"]["log_likelihood_minus_popularity"]["value"] > 0.03
    assert {"log_likelihood/rare", "click_log_likelihood/search", "calibration_error"} <= set(metrics["gamma"])
    for name in ("covered/click", "covered/distance", "covered/no_click", "gamma"):
        assert 0 <= metrics["gamma"][name]["value"] <= 1 and name not in metrics["popularity"]
    shown = capsys.readouterr().out
    assert "144 held-out slates of 36 users" in shown and "truth" in shown
    table = pl.read_parquet(run.metrics_table)
    assert table.columns == ["user_id", "row", "metric", "seed", "value"]
    assert table["user_id"].n_unique() == 36 and table["value"].is_finite().all()
    mean = table.filter((pl.col("row") == "gamma") & (pl.col("metric") == "log_likelihood"))["value"].mean()
    assert mean == pytest.approx(likelihood["gamma"], abs=1e-5), "every test user has as many slates"


def test_evaluation_of_a_world_that_is_not(to_evaluate: RunFolder) -> None:
    metrics = evaluated(to_evaluate, limit=1)
    assert list(metrics) == ["uniform", "popularity", "gamma", "flat"]
    assert not any(name.startswith("covered") for cells in metrics.values() for name in cells)
    assert pl.read_parquet(to_evaluate.metrics_table)["user_id"].n_unique() == 7


def test_equal_seeds_evaluate_alike(to_evaluate: RunFolder) -> None:
    run = to_evaluate
    first = evaluated(run)
    Evaluate(ForecastEvaluation(references=["popularity", "flat"], draws=16, users=7)).run(run)
    assert json.loads(run.metrics.read_text()) == first


def test_the_report_has_every_section(to_evaluate: RunFolder) -> None:
    run = to_evaluate
    evaluated(run, truth=SOURCE)
    run.write_config(OmegaConf.create({"name": "slates", "seed": 0}))
    sections = {
        "results": ResultsTable(["log_likelihood", "gamma"]),
        "differences": PairedDifferences("click_log_likelihood", "Nats a clicked slate", ["flat"]),
        "curves": LearningCurves(),
        "calibration": Calibration(),
        "cards": SlateCards(users=3),
        "configuration": Configuration(),
    }
    Report(sections).run(run)
    page = run.report.read_text()
    titles = ("Results", "Paired differences", "Learning curves", "Calibration", "Slates", "Configuration")
    assert all(title in page for title in titles)
    assert page.count("<svg") >= 1 + 1 + 5
    assert set(json.loads((run.stage("evaluate") / "calibration.json").read_text())) == {
        *("uniform", "popularity", "gamma", "flat", "truth")
    }
