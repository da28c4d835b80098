"""Every experiment composes, is accepted and runs end to end on a few batches; every training belongs to one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
import torch
from omegaconf import DictConfig, OmegaConf

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.validate import validate
from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.errors import ConfigurationError, DataError
from recsys.runs.artifacts import artifact_folder, artifacts, load_model
from recsys.runs.materials import load_bundle
from recsys.runs.prepare import load_data_of
from recsys.runs.run import RunResult, run_stages
from recsys.runs.run_folder import RunFolder
from recsys.types.artifact_kind import ArtifactKind
from tests.slate_files import write_ebnerd, write_exposures, write_finn, write_impressions, write_kuairand, write_mind
from tests.tables import ITEMS, USERS, write_tables

CONF = configuration_folder()
EXPERIMENTS = sorted(
    str(path.relative_to(CONF / "experiment").with_suffix("")) for path in CONF.glob("experiment/**/*.yaml")
)
SEQUENCES = [name for name in EXPERIMENTS if name.startswith("rere/")]
SLATES = [name for name in EXPERIMENTS if name.startswith("slate/")]
SESSIONS = [name for name in EXPERIMENTS if name.startswith("onerec/")]
"""Run by `tests/training/test_sessions.py`: one recipe, of which these choose the data."""
SIMULATORS = [name for name in EXPERIMENTS if name.startswith("simulator/")]
NOVELTY = [name for name in EXPERIMENTS if name.startswith("novelty/")]
WITH_FEATURES = [
    file.stem
    for file in sorted(CONF.glob("simulator/slate/*.yaml"))
    if OmegaConf.load(file).get("features") is not None
]
"""Simulators that a policy of features can learn in."""
TRAININGS = sorted(path.stem for path in CONF.glob("training/*.yaml"))
BASELINES = {"popularity", "markov", "item_knn"}


def composed(experiment: str, *overrides: str) -> DictConfig:
    """The experiment; a value that its user must give is given."""
    given = ["dataset.root=data"] if experiment.endswith(("parquet", "ebnerd", "kuairand")) else []
    given += ["dataset.path=feedback.parquet"] if experiment.endswith("feedback") else []
    return compose([f"experiment={experiment}", *given, *overrides])


def small(experiment: str, folder: Path, *overrides: str) -> DictConfig:
    """The experiment for a few batches of small tables, with small networks."""
    write_tables(folder / "tables")
    where = [f"dataset.root={folder / 'tables'}", f"root={folder / 'runs'}", f"+data.root={folder / 'data'}"]
    size = ["data.k_core=0", "clusters=4", "max_length=8"]
    config = compose([f"experiment={experiment}", "debug=limit", "dataset=parquet", *where, *size, *overrides])
    OmegaConf.set_struct(config, False)
    for network in (config.network, *(one.model for one in config.train.values() if "model" in one)):
        network.update({"width": 8, "layers": 1})
    return config


def rows_of(config: DictConfig) -> set[str]:
    """Rows that the table of a run has."""
    return BASELINES | set(config.train) | {"mixture"}


def assert_run_folder(result: RunResult, config: DictConfig) -> None:
    """What docs/guide/tables.md says a run leaves."""
    run = RunFolder(result.folder)
    assert {one.name for one in result.folder.iterdir() if one.name[0] != "."} == {
        *("config.yaml", "metrics.json", "metrics.parquet", "history.parquet", "report.html", "run.log"),
        *("checkpoints", "stages"),
    }
    kept = OmegaConf.load(run.config)
    assert isinstance(kept, DictConfig)
    validate(kept)
    assert_metrics(json.loads(run.metrics.read_text()), rows_of(config), config.evaluation.references)
    table = pl.read_parquet(run.metrics_table)
    assert table.columns == ["user_id", "row", "metric", "seed", "value"]
    assert set(table["row"]) == rows_of(config)
    assert table["user_id"].n_unique() == len(load_data_of(run, Dataset).test.context.users.unique())
    assert_history(pl.read_parquet(run.history), config)
    page = run.report.read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page), "the report loads nothing from a network"
    assert all(title in page for title in ("Learning curves", "Reward diagnostics", "What users would see", "Tale "))
    assert "evaluate: done" in run.log.read_text()


def assert_metrics(metrics: dict, rows: set[str], references: Sequence[str]) -> None:
    assert set(metrics) == rows
    wanted = {f"{name}@{k}" for name in ("hr", "ndcg") for k in (1, 5, 10, 20, 50)} | {"coverage@10"}
    for row, cells in metrics.items():
        assert wanted <= set(cells)
        assert {f"ndcg@10_minus_{one}" for one in references if one in rows and one != row} <= set(cells)
        for cell in cells.values():
            assert set(cell) == {"value", "low", "high"}
        value, low, high = (cells["ndcg@10"][key] for key in ("value", "low", "high"))
        assert 0 <= low <= value <= high <= 1
        assert cells["ndcg@10"]["value"] <= cells["hr@10"]["value"] <= cells["hr@20"]["value"]


def assert_history(history: pl.DataFrame, config: DictConfig) -> None:
    assert history.schema == {"stage": pl.String, "step": pl.Int64, "metric": pl.String, "value": pl.Float64}
    logged = set(history["metric"])
    for name in config.train:
        assert {f"{name}/train/loss", f"{name}/validation/ndcg@10"} <= logged
    assert "rere/train/reward_mean" in logged
    first = history.filter(pl.col("metric") == "rere/train/clip_fraction").sort("step")
    assert first["value"][0] == 0.0


def assert_checkpoints(result: RunResult, config: DictConfig) -> None:
    """`last` and `best` of each training load with `weights_only=True`; the best weights are served."""
    run = RunFolder(result.folder)
    bundle = load_bundle(run)
    for name in (one.name for one in artifacts(run, ArtifactKind.POLICY)):
        folder = artifact_folder(run, name)
        stage = folder.parent.name
        last, best = (
            torch.load(run.checkpoint(stage) / name / f"{one}.ckpt", weights_only=True) for one in ("last", "best")
        )
        assert {"optimizer_states", "loops", "callbacks"} <= set(last)
        for key, value in load_model(folder, bundle).state_dict().items():
            assert torch.equal(value, best["state_dict"][f"network.{key}"])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_it_is_accepted_as_it_stands(experiment: str) -> None:
    config = composed(experiment)
    validate(config)
    assert config.name == experiment


@pytest.mark.parametrize(
    ("debug", "heard"), [("limit", (2, None, None)), ("overfit", (None, 1, None)), ("profile", (100, None, "simple"))]
)
def test_what_is_for_debugging_reaches_every_training(debug: str, heard: tuple[object, ...]) -> None:
    config = composed("rere/parquet", f"debug={debug}")
    validate(config)
    slates = composed("slate/parquet", f"debug={debug}")
    validate(slates)
    for stage in (config.stage.train, slates.stage.train):
        assert (stage.limit, stage.overfit, stage.profiler) == heard
    with pytest.raises(ConfigurationError, match=r"profiler: expected .*simple.*advanced"):
        validate(composed("rere/parquet", "profiler=smiple"))


def test_every_experiment_is_of_a_kind_that_is_run_below() -> None:
    assert sorted([*SEQUENCES, *SESSIONS, *SLATES, *SIMULATORS, *NOVELTY]) == EXPERIMENTS


@pytest.mark.parametrize("experiment", SEQUENCES)
def test_it_runs_end_to_end(experiment: str, tmp_path: Path) -> None:
    config = small(experiment, tmp_path)
    result = run_stages(config)
    assert_run_folder(result, config)
    assert_checkpoints(result, config)
    steps = pl.read_parquet(result.folder / "history.parquet")["step"]
    assert int(steps.max() or 0) <= 2 * 2, "limit=2 is two epochs of two batches"


def slate_data(experiment: str, folder: Path) -> list[str]:
    """Where the experiment finds small data, in the layout of the real ones."""
    if experiment == "slate/simulated":
        return ["dataset.users=60", "dataset.simulator.num_items=30", "dataset.simulator.groups=4"]
    write = {"slate/finn": write_finn, "slate/ebnerd": write_ebnerd, "slate/parquet": write_impressions}[experiment]
    write(folder / "raw")
    return [f"dataset.root={folder / 'raw'}"]


@pytest.mark.parametrize("experiment", SLATES)
def test_a_slate_experiment_runs_end_to_end(experiment: str, tmp_path: Path) -> None:
    config = compose(
        [f"experiment={experiment}", "debug=limit", f"root={tmp_path / 'runs'}", *slate_data(experiment, tmp_path)]
    )
    result = run_stages(config)
    trainings = set(config.train)
    truth = {"truth"} if experiment == "slate/simulated" else set()
    assert set(result.metrics) == {"uniform", "popularity", *trainings, *truth}
    assert {one.name for one in result.folder.iterdir() if one.name[0] != "."} == {
        *("config.yaml", "metrics.json", "metrics.parquet", "history.parquet", "report.html", "run.log"),
        *("checkpoints", "stages"),
    }
    for row, cells in result.metrics.items():
        assert cells["log_likelihood"]["value"] < 0 and cells["click_log_likelihood"]["value"] < 0
        for reference in config.evaluation.references:
            assert (f"log_likelihood_minus_{reference}" in cells) == (reference != row)
    page = (result.folder / "report.html").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page), "the report loads nothing from a network"
    before = (result.folder / "metrics.json").stat().st_mtime_ns
    config.run = str(result.folder)
    assert run_stages(config).metrics == result.metrics
    assert (result.folder / "metrics.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("simulator", WITH_FEATURES)
@pytest.mark.parametrize("experiment", SIMULATORS)
def test_a_policy_learns_in_every_simulator_and_is_compared(experiment: str, simulator: str, tmp_path: Path) -> None:
    given = [
        f"simulator=slate/{simulator}",
        "debug=limit",
        f"root={tmp_path}",
        "evaluation.limit=5",
        "users=20",
        "steps=5",
    ]
    plain = "objective@train.actor_critic.system.objective=advantage_actor_critic"
    config = compose([f"experiment={experiment}", *given, *([plain] if simulator == "planted" else [])])
    result = run_stages(config)
    assert set(result.metrics) == {"random", "greedy", "oracle", *config.train}
    history = set(pl.read_parquet(result.folder / "history.parquet")["metric"])
    for name in config.train:
        assert {"reward", "regret", "reward_minus_random", "reward_minus_greedy"} <= set(result.metrics[name])
        assert {f"{name}/train/loss", f"{name}/validation/reward"} <= history
    assert "actor_critic/train/entropy" in history
    page = (result.folder / "report.html").read_text()
    assert all(title in page for title in ("Results", "Learning curves", "actor-critic"))


@pytest.mark.parametrize("experiment", NOVELTY)
def test_agents_of_two_levels_and_of_one_are_compared(experiment: str, tmp_path: Path) -> None:
    size = ["users=12", "steps=10", "collected_users=8", "simulator.num_items=30", "evaluation.limit=10"]
    reward = "reward@train.two_level.system.reward=novelty_seeking"
    config = compose([f"experiment={experiment}", "debug=limit", f"root={tmp_path}", *size, reward])
    result = run_stages(config)
    assert set(result.metrics) == {*config.train, *config.evaluation.baselines}
    told = {name for name, row in result.metrics.items() if "intent_correlation" in row}
    assert told <= {"two_level", "without_static", "without_dynamic"}
    assert all({"novelty", "serendipity", "regret"} <= set(row) for row in result.metrics.values())
    history = set(pl.read_parquet(result.folder / "history.parquet")["metric"])
    watched = {"choice_loss", "latent/entropy", "reward/consumed", "reward/novelty", "reward/diversity"}
    assert {f"two_level/train/{name}" for name in watched} <= history
    assert "Trade-off" in (result.folder / "report.html").read_text()


@pytest.mark.parametrize(
    ("dataset", "write", "place", "feedback"),
    [
        ("parquet_slates", write_impressions, "root", []),
        ("exposures", write_exposures, "root", ["click", "watch_time"]),
        ("kuairand", write_kuairand, "exposures", ["click", "watch_time"]),
        ("mind", write_mind, "root", []),
    ],
)
def test_slates_of_every_layout_are_prepared(
    dataset: str, write: Callable[[Path], Path], place: str, feedback: list[str], tmp_path: Path
) -> None:
    named = ["+dataset.feedback.watch_time=seconds"] if dataset == "exposures" else []
    where = [f"dataset={dataset}", f"dataset.{place}={write(tmp_path / 'raw')}", f"root={tmp_path / 'runs'}", *named]
    config = compose(["experiment=slate/parquet", *where, "stages=[prepare]"])
    slates = load_data_of(RunFolder(run_stages(config).folder), PreparedSlates)
    log, split = slates.log, slates.split
    assert list(log.feedback) == feedback and len(log) == 200 and split.test.any()
    assert (log.clicks.lengths == 1).all() and log.num_users == 20 and log.num_items == 40


@pytest.mark.parametrize("experiment", ["slate/finn", "slate/ebnerd"])
def test_who_has_no_slates_is_told_where_they_are(experiment: str, tmp_path: Path) -> None:
    config = compose([f"experiment={experiment}", f"root={tmp_path}", f"dataset.root={tmp_path / 'nothing'}"])
    with pytest.raises(DataError, match=r"huggingface.co/datasets/simeneide|recsys.eb.dk"):
        run_stages(config)


def test_running_again_makes_anew_what_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small("rere/parquet", tmp_path, "~train.sft_continued", "~train.sasrec")
    first = run_stages(config)
    weights = artifact_folder(RunFolder(first.folder), "rere") / "weights.safetensors"
    before, _ = weights.stat().st_mtime_ns, capsys.readouterr()
    config.run = str(first.folder)
    assert run_stages(config).metrics == first.metrics
    assert weights.stat().st_mtime_ns == before
    assert capsys.readouterr().out.splitlines() == [f"{stage}: up to date" for stage in config.stages]
    config.train.rere_lambda.system.objective.temperature = 0.5
    run_stages(config)
    shown = capsys.readouterr().out
    for line in ("tokenize: up to date", "train/rere: up to date", "train/rere_lambda: training", "evaluate: begins"):
        assert line in shown


def test_other_networks_items_and_splits(tmp_path: Path) -> None:
    """The encoder-decoder over text codes, cut in time, without a reward."""
    config = small("rere/parquet", tmp_path, "network=encoder_decoder", "items=text", "split=global_time")
    config.train = {"sft": config.train.sft}
    config.network.update({"head_width": 4, "hidden": 8, "decoder_layers": 1})
    result = run_stages(config)
    assert set(result.metrics) == {*BASELINES, "sft", "mixture"}
    assert "No training of this run had a reward." in (result.folder / "report.html").read_text()


def test_where_users_may_have_items_again_they_are_kept(tmp_path: Path) -> None:
    config = small("rere/parquet", tmp_path, "data.repeats=true")
    config.stages = ["prepare", "tokenize", "train"]
    config.train = {"sft": config.train.sft}
    dataset = load_data_of(RunFolder(run_stages(config).folder), Dataset)
    assert dataset.repeats
    assert dataset.test.context.excluded.values.numel() == 0
    assert (dataset.num_users, dataset.num_items) == (USERS, ITEMS)


def without_experiment() -> list[str]:
    """The trainings that no experiment and no recipe lists, as they stand below `conf/training`."""
    files = [*CONF.glob("experiment/**/*.yaml"), *CONF.glob("recipe/*.yaml")]
    listed = set()
    for file in files:
        for group, name in re.findall(r"/training(/\w+)?@[\w.]+: (\w+)$", file.read_text(), re.MULTILINE):
            listed.add(f"{group}/{name}".strip("/"))
    known = {str(path.relative_to(CONF / "training").with_suffix("")) for path in CONF.glob("training/**/*.yaml")}
    assert listed <= known
    fragments = {"novelty/agent", "novelty/intent", "onerec/on_sessions"}
    return sorted(known - listed - fragments)


@pytest.mark.parametrize("training", without_experiment())
def test_a_training_that_no_experiment_lists_runs_beside_those_of_one(training: str, tmp_path: Path) -> None:
    """The other trainings were run above, by the experiments that list them."""
    kind, _, name = training.rpartition("/")
    added = f"+training{'/' if kind else ''}{kind}@train.{name}={name}"
    given = ["debug=limit", f"root={tmp_path}"]
    if kind == "simulator":
        sizes = ["evaluation.limit=5", "users=20", "steps=5"]
        config = compose(["experiment=simulator/interest", *given, *sizes, added])
    elif kind == "slate":
        config = compose(["experiment=slate/simulated", *given, *slate_data("slate/simulated", tmp_path), added])
    else:
        config = small("rere/parquet", tmp_path, added)
    assert name in run_stages(config).metrics


@pytest.mark.parametrize("system", sorted(path.stem for path in CONF.glob("system/*.yaml")))
def test_every_system_is_of_a_training(system: str) -> None:
    files = CONF.glob("training/**/*.yaml")
    assert any(re.search(rf"/system@system: {system}$", file.read_text(), re.MULTILINE) for file in files)


@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_is_checked_to_its_last_key(training: str) -> None:
    path = f"train.{training}"
    config = composed("rere/movielens_100k")
    if OmegaConf.select(config, path) is None:
        config = composed("rere/movielens_100k", f"+training@{path}={training}")
    validate(config)
    wrong = {
        f"{path}.system.objektive": rf"{path}\.system\.objektive",
        f"{path}.sytem": rf"^{path}\.sytem: Training has no key 'sytem'; .*'system'",
    }
    for key, message in wrong.items():
        spoilt = config.copy()
        OmegaConf.update(spoilt, key, 1, force_add=True)
        with pytest.raises(ConfigurationError, match=message):
            validate(spoilt)
