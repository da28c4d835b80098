from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder, job_folder
from recsys.config.validate import validate
from recsys.errors import ConfigurationError
from recsys.replay.actions.importance import IPS
from recsys.replay.intervals.methods import ClosedForm
from recsys.replay.result import SCHEMA, estimate_metrics
from recsys.replay.stages.replay import Replay
from recsys.runs.run import run_stages
from tests.replay.feedback_files import action_table, open_bandit, slate_table, trajectories, two_policies, written

CONF = job_folder(configuration_folder(), "replay")


def options(group: str) -> list[str]:
    return sorted(path.stem for path in CONF.glob(f"{group}/*.yaml"))


ELSEWHERE = {"checkpoint"}
"""Needs a run: `tests/replay/targets/test_policies.py`, `tests/runs/test_trained_policy.py`."""
SLATES = {
    *("slate_ips", "slate_snips", "reward_interaction", "sn_reward_interaction", "independent", "sn_independent"),
    *("position_based", "pseudo_inverse", "sn_pseudo_inverse", "pseudo_inverse_control", "cascade_dr", "sn_cascade_dr"),
}
BY_STEP = {"per_decision_snips", "sequential_sndr", "magic"}
EPISODES = {"trajectory_ips", "trajectory_snips", "per_decision_ips", "sequential_dm", "sequential_dr"} | BY_STEP
UNIFORM_ONLY = {"rejection"}
"""Needs a log of uniformly chosen actions."""


def small(folder: Path, *overrides: str) -> DictConfig:
    config = compose([f"root={folder / 'runs'}", *overrides], "replay")
    OmegaConf.set_struct(config, False)
    validate(config)
    return config


def actions(folder: Path, *overrides: str) -> DictConfig:
    path = written(action_table(1200), folder / "log.parquet")
    features = pl.DataFrame({"action": range(3), "kind": ["a", "a", "b"]})
    known = [f"log.actions={written(features, folder / 'actions.parquet')}", "log.clusters=kind"]
    who = "+log.logging.old={_target_: recsys.replay.targets.policies.UniformTarget}"
    return small(folder, "log=parquet", f"log.path={path}", *known, who, *overrides)


def estimates(config: DictConfig) -> pl.DataFrame:
    return pl.read_parquet(run_stages(config).folder / "estimates.parquet")


def test_every_estimator_has_a_kind_of_log() -> None:
    assert set(options("estimator")) >= SLATES | EPISODES | UNIFORM_ONLY
    assert set(options("policy")) == {"bernoulli_ts", "checkpoint", "from_policy", "popularity", "table", "uniform"}
    assert set(options("log")) == {"open_bandit", "parquet", "kuairand", "dsjson"}


def test_every_estimator_of_single_actions_runs(tmp_path: Path) -> None:
    names = sorted(set(options("estimator")) - SLATES - EPISODES - UNIFORM_ONLY)
    table = estimates(actions(tmp_path, f"estimator=[{','.join(names)}]", "model=means"))
    assert table["estimator"].to_list() == names
    plain = table.filter(~pl.col("estimator").is_in(["mips", "sn_mips", "offcem"]))  # the log's policy is another
    assert plain["value"].is_between(0.2, 0.45).all() and table["value"].is_not_null().all()


def test_popularity_is_evaluated_by_a_log_of_actions(tmp_path: Path) -> None:
    row = estimates(actions(tmp_path, "policy=popularity", "estimator=[snips]")).row(0, named=True)
    assert row["policy"] == "popularity" and row["low"] < row["value"] < row["high"]


def test_rejection_reads_a_log_of_uniform_actions(tmp_path: Path) -> None:
    root = open_bandit(tmp_path / "raw")
    logs = ["log=open_bandit", "log.campaign=men", f"log.root={root}", "log.exclude=true"]
    row = estimates(small(tmp_path, *logs, "policy=bernoulli_ts", "estimator=rejection")).row(0, named=True)
    assert row["low"] < row["truth"] < row["high"] and row["log"] == "uniform"


def test_every_estimator_of_slates_runs(tmp_path: Path) -> None:
    path = written(slate_table(), tmp_path / "log.parquet")
    who = "+log.logging.random={_target_: recsys.replay.targets.policies.UniformTarget}"
    names = sorted(SLATES)
    given = [
        f"estimator=[{','.join(names)}]",
        "model=reward_to_go",
        "estimators.position_based.weights.examination=[1,1]",
    ]
    table = estimates(small(tmp_path, "log=parquet", f"log.path={path}", who, *given))
    assert table["estimator"].to_list() == names
    assert table["value"].to_list() == pytest.approx([slate_table()["rewards"].list.sum().mean()] * 12, rel=0.02)


@pytest.mark.parametrize("model", [["model=fitted_q"], ["model=fitted_q_trees", "model.fit.iterations=3"]])
def test_every_estimator_of_episodes_runs(model: list[str], tmp_path: Path) -> None:
    path = written(trajectories(), tmp_path / "log.parquet")
    names = sorted(EPISODES)
    given = [f"estimator=[{','.join(names)}]", *model, *(f"estimators.{name}.horizon=3" for name in BY_STEP)]
    table = estimates(small(tmp_path, "log=parquet", f"log.path={path}", *given))
    assert table["estimator"].to_list() == names
    with_interval = table.filter(~pl.col("estimator").is_in(["magic", "sequential_dm"]))  # dm knows not how it errs
    assert all(row["low"] < 1.0 < row["high"] for row in with_interval.iter_rows(named=True))
    assert table["value"].is_between(0.85, 1.15).all()


POLICY = "{_target_: recsys.policies.bandits.greedy.UniformPolicy, num_items: 4}"
METHODS = "recsys.replay.slates.distribution_methods"


@pytest.mark.parametrize("method", ["EnumeratedSlates, num_items: 4", "SampledSlates, num_samples: 200"])
def test_a_policy_of_the_package_is_a_target(method: str, tmp_path: Path) -> None:
    path = written(slate_table(), tmp_path / "log.parquet")
    given = [
        f"policies.from_policy.policy={POLICY}",
        f"policies.from_policy.distribution={{_target_: {METHODS}.{method}}}",
    ]
    who = "+log.logging.random={_target_: recsys.replay.targets.policies.UniformTarget}"
    logs = ["log=parquet", f"log.path={path}", who, "policy=from_policy"]
    row = estimates(small(tmp_path, *logs, *given, "estimator=[independent]")).row(0, named=True)
    assert row["low"] < 3.0 < row["high"]


@pytest.mark.parametrize("interval", options("interval"))
def test_every_interval_contains_the_estimate(interval: str, tmp_path: Path) -> None:
    alone = action_table(1200).drop("user_id")  # some bounds are for rounds that do not depend on each other
    given = ["log=parquet", f"log.path={written(alone, tmp_path / 'log.parquet')}", f"interval={interval}"]
    given += ["interval.largest=10"] if interval == "bernstein" else []
    table = estimates(small(tmp_path, *given, "estimator=ips"))
    row = table.row(0, named=True)
    assert row["low"] < row["value"] < row["high"]


@pytest.mark.parametrize(
    "model", sorted(set(options("model")) - {"none", "reward_to_go", "fitted_q", "fitted_q_trees"})
)
def test_every_model_serves_dr(model: str, tmp_path: Path) -> None:
    table = estimates(actions(tmp_path, f"model={model}", "estimator=[dr,ips]"))
    widths = (table["high"] - table["low"]).to_list()
    assert widths[0] < widths[1] and table["value"][0] == pytest.approx(table["value"][1], abs=0.03)


def test_events_of_vowpal_wabbit_are_evaluated(tmp_path: Path) -> None:
    """The second of two actions earns 1 and is logged with .25: chosen by chance, .5."""
    path = tmp_path / "log.dsjson"
    offered = {"_multi": [{"i": {"id": name}} for name in ("tea", "coffee")]}
    event = {"Version": "1", "Timestamp": "2021-02-04T16:31:29Z", "a": [1, 2], "p": [0.75, 0.25], "c": offered}
    with path.open("w") as lines:
        for number in range(800):
            second = number % 4 == 0
            chosen = {"_label_cost": -float(second), "_label_probability": 0.25 if second else 0.75}
            chosen |= {"_labelIndex": int(second), "_label_Action": 1 + second, "EventId": f"e{number}"}
            lines.write(json.dumps(event | chosen) + "\n")
    given = ["log=dsjson", f"log.path={path}", "log.identifier=i.id", "estimator=[ips,snips]"]
    table = estimates(small(tmp_path, *given))
    assert table["value"].to_list() == pytest.approx([0.5, 0.5])
    assert table["on_policy_value"].to_list() == pytest.approx([0.25, 0.25])


def test_random_exposures_of_kuairand_are_evaluated(tmp_path: Path) -> None:
    rows = [(number // 4, number % 7, 1_600_000_000_000 + number, number % 3 == 0) for number in range(600)]
    table = pl.DataFrame(rows, schema=["user_id", "video_id", "time_ms", "is_click"], orient="row")
    path = written(table.with_columns(pl.col("is_click").cast(pl.Int64)), tmp_path / "random.parquet")
    row = estimates(small(tmp_path, "log=kuairand", f"log.path={path}", "log.pool=7", "estimator=ips")).row(
        0, named=True
    )
    assert row["value"] == pytest.approx(1 / 3) and row["log"] == "uniform_videos" and row["max_weight"] == 1


def test_a_key_that_nothing_reads_is_refused(tmp_path: Path) -> None:
    config = actions(tmp_path)
    config.lonely = 1
    with pytest.raises(ConfigurationError, match="lonely: nothing reads this key"):
        validate(config)


@pytest.mark.parametrize("log", options("log"))
def test_every_key_of_a_log_is_read_somewhere(log: str) -> None:
    """They may stay unread in one run (`provides`), but not in all."""
    everything = "".join(path.read_text() for path in CONF.rglob("*.yaml"))
    for key in set(OmegaConf.load(CONF / "log" / f"{log}.yaml")):
        assert f"${{log.{key}}}" in everything, f"{log}: log.{key}"


def test_a_run_leaves_its_files_and_is_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(two_policies(), tmp_path / "log.parquet")
    config = small(tmp_path, "log=parquet", f"log.path={path}", "estimator=[ips,snips]")
    first = run_stages(config)
    assert {one.name for one in first.folder.iterdir() if one.name[0] != "."} == {
        *("config.yaml", "metrics.json", "estimates.parquet", "report.html", "run.log", "stages")
    }
    beside = {one.name for one in (first.folder / "stages" / "replay").glob("*.parquet")}
    assert beside == {"placebo.parquet", "checks.parquet", "weights.parquet"}
    placebo = pl.read_parquet(first.folder / "stages/replay/placebo.parquet")
    assert placebo["log"].unique().to_list() == ["uniform"]
    assert placebo["value"].to_list() == pytest.approx(placebo["truth"].to_list()), "its own weights are all 1"
    table = pl.read_parquet(first.folder / "estimates.parquet")
    assert dict(table.schema) == SCHEMA
    assert json.loads((first.folder / "metrics.json").read_text()) == estimate_metrics(table) == first.metrics
    config.run = str(first.folder)
    capsys.readouterr()
    run_stages(config)
    assert "replay: up to date" in capsys.readouterr().out


def test_what_the_log_does_not_tell_is_no_number() -> None:
    row = {name: None for name in SCHEMA} | {"policy": "a", "log": "l", "estimator": "ips", "warning": "few rounds"}
    row |= {"value": 0.5, "low": 0.4, "high": 0.6, "max_weight": 9.0, "truth": 0.3, "relative_error": 0.7}
    found = estimate_metrics(pl.DataFrame([row], schema=SCHEMA))
    none = {"value": None, "low": None, "high": None}
    assert found == {
        "a/on_policy": {"value": {"value": 0.3, "low": None, "high": None}},
        "a/ips": {"value": none, "max_weight": {"value": 9.0, "low": None, "high": None}},
    }


def test_stages_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="policy: none is configured"):
        Replay({}, {}, {"ips": IPS()}, ClosedForm())
    with pytest.raises(ConfigurationError, match="estimator: none is configured"):
        Replay({}, {"a": lambda log: log}, {}, ClosedForm())
    with pytest.raises(ConfigurationError, match="selector=dr: no such estimator"):
        Replay({}, {"a": lambda log: log}, {"ips": IPS()}, ClosedForm(), select=True, selector="dr")
