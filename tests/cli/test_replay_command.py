from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from recsys.cli.main import DONE, REFUSED, main
from tests.replay.feedback_files import (
    action_table,
    open_bandit,
    policy_table,
    slate_table,
    trajectories,
    two_policies,
    written,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def replay(*arguments: str) -> int:
    return main(["replay", *arguments])


def test_the_real_logs_layout_is_evaluated_both_ways(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = open_bandit(tmp_path / "raw")
    logs = ["log=open_bandit", "log.campaign=men", f"log.root={root}"]
    assert replay(*logs, "policy=[uniform,bernoulli_ts]") == DONE
    lines = capsys.readouterr().out.splitlines()
    folder = tmp_path / lines[-1]
    assert (folder / "report.html").exists()
    titles = [line for line in lines if "evaluated on the log" in line]
    assert len(titles) == 2 and all("; on-policy value 0." in line for line in titles)
    rows = [line for line in lines if line.lstrip().startswith(("ips ", "snips ", "clipped "))]
    assert len(rows) == 6 and all("%" in row and "[" in row for row in rows)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {"uniform/on_policy", "bernoulli_ts/on_policy", "uniform/ips", "bernoulli_ts/clipped"} <= set(metrics)
    assert set(metrics["uniform/ips"]) == {"value", "effective_sample_size", "max_weight", "relative_error"}


def test_anyones_table_and_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = action_table()
    path, table = written(log, tmp_path / "log.parquet"), written(policy_table(log, [0.1, 0.3, 0.6]), tmp_path / "t.pq")
    run = ["log=parquet", f"log.path={path}", "policy=table", f"policy.path={table}", "estimator=[dr,ips]"]
    assert replay(*run, "model=means") == DONE
    out = capsys.readouterr().out
    assert "table, evaluated on the log old, whose policy has value 0." in out and "on-policy value" not in out
    table = pl.read_parquet(tmp_path / out.splitlines()[-1] / "estimates.parquet")
    truth = 0.1 * 0.1 + 0.3 * 0.3 + 0.6 * 0.6
    assert all(row["low"] < truth < row["high"] for row in table.iter_rows(named=True))


def test_the_best_of_several_is_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = action_table()
    written(log, tmp_path / "log.parquet")
    good = written(policy_table(log, [0.1, 0.2, 0.7]), tmp_path / "good.parquet")
    named = f"+policies.good={{_target_: recsys.replay.targets.policies.TableTarget, path: {good}}}"
    assert replay("log=parquet", "log.path=log.parquet", named, "select=true", "selector=snips") == DONE
    out = capsys.readouterr().out
    assert "selected policy: good, value at least 0." in out
    folder = tmp_path / out.splitlines()[-1]
    told = pl.read_parquet(folder / "estimates.parquet")
    assert set(told["policy"]) == {"good"} and set(told["estimator"]) == {"ips", "clipped"}
    assert "Selection" in (folder / "report.html").read_text()


def test_slates_as_the_bench_writes_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = slate_table()
    written(log, tmp_path / "log.parquet")
    who = "+log.logging.random={_target_: recsys.replay.targets.policies.UniformTarget}"
    estimators = "estimator=[slate_ips,reward_interaction,independent,pseudo_inverse,cascade_dr]"
    assert replay("log=parquet", "log.path=log.parquet", who, estimators, "model=reward_to_go") == DONE
    table = pl.read_parquet(tmp_path / capsys.readouterr().out.splitlines()[-1] / "estimates.parquet")
    assert table["value"].to_list() == pytest.approx([log["rewards"].list.sum().mean()] * 5, rel=0.01)
    own = log.select("request_id", "prefix_propensities")
    written(own, tmp_path / "table.parquet")
    run = ["log=parquet", "log.path=log.parquet", "policy=table", "policy.path=table.parquet"]
    assert replay(*run, "estimator=[slate_ips,sn_reward_interaction]") == DONE
    assert replay(*run, "estimator=[independent]") == REFUSED
    assert "table on random, independent: this estimator needs" in capsys.readouterr().err


def test_episodes_of_a_table_and_its_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = trajectories()
    written(log, tmp_path / "log.parquet")
    written(log.select("request_id", "action", probability=pl.lit(0.5)), tmp_path / "table.parquet")
    run = ["log=parquet", "log.path=log.parquet", "policy=[uniform,table]", "policy.path=table.parquet"]
    known = "estimator=[trajectory_ips,per_decision_ips,per_decision_snips]"
    assert replay(*run, known) == REFUSED
    assert "estimators.per_decision_snips.horizon: must be given" in capsys.readouterr().err
    assert replay(*run, known, "estimators.per_decision_snips.horizon=3") == DONE
    table = pl.read_parquet(tmp_path / capsys.readouterr().out.splitlines()[-1] / "estimates.parquet")
    values = [part["value"].to_list() for part in table.partition_by("policy", maintain_order=True)]
    assert values[0] == pytest.approx(values[1]) and len(values[0]) == 3


def test_episodes_and_a_model_of_their_values(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(trajectories(), tmp_path / "log.parquet")
    names = ["sequential_dm", "sequential_dr", "sequential_sndr", "magic", "per_decision_ips"]
    run = ["log=parquet", "log.path=log.parquet", "policy=[uniform]", f"estimator=[{','.join(names)}]"]
    horizons = [f"estimators.{name}.horizon=3" for name in ("sequential_sndr", "magic")]
    assert replay(*run, *horizons) == REFUSED
    assert "this estimator needs a value model's prediction" in capsys.readouterr().err
    values = []
    for discount in (1.0, 0.5):
        assert replay(*run, *horizons, "model=fitted_q", f"discount={discount}") == DONE
        table = pl.read_parquet(tmp_path / capsys.readouterr().out.splitlines()[-1] / "estimates.parquet")
        assert table["estimator"].to_list() == names
        assert table["low"].is_null().to_list() == [name == "magic" for name in names]
        values.append(table["value"].to_list())
    assert values[0] == pytest.approx([1.0] * 5, abs=0.15)  # one to three steps of .5
    assert values[1] == pytest.approx([0.5 * (1 + 1.5 + 1.75) / 3] * 5, abs=0.1)


@pytest.mark.parametrize("table", [action_table, trajectories], ids=["actions", "episodes"])
def test_estimated_propensities_are_marked_everywhere(
    table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(table().drop("propensity"), tmp_path / "log.parquet")
    estimator = "estimator=ips" if table is action_table else "estimator=per_decision_ips"
    run = ["log=parquet", "log.path=log.parquet", estimator]
    assert replay(*run) == REFUSED
    assert "log.propensities=estimated" in capsys.readouterr().err
    assert replay(*run, "log.propensities=estimated") == DONE
    out = capsys.readouterr().out
    [row] = [line for line in out.splitlines() if line.lstrip().startswith(estimator.removeprefix("estimator="))]
    assert row.rstrip().endswith("propensities estimated")
    folder = tmp_path / out.splitlines()[-1]
    assert pl.read_parquet(folder / "estimates.parquet")["estimated"].all()
    page = (folder / "report.html").read_text()
    assert "Estimated propensities" in page and "calibration error" in page and "share chosen" in page


def test_estimated_propensities_tell_of_every_action(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(action_table().drop("propensity"), tmp_path / "log.parquet")
    written(pl.DataFrame({"action": range(3), "kind": ["a", "a", "b"]}), tmp_path / "actions.parquet")
    run = ["log=parquet", "log.path=log.parquet", "log.actions=actions.parquet", "log.propensities=estimated"]
    assert replay(*run, "log.clusters=kind", "estimator=[mips,offcem]", "model=ridge") == DONE
    assert replay("log=parquet", "log.path=log.parquet", "log.propensities=guessed") == REFUSED
    assert "expected 'logged' or 'estimated', found 'guessed'" in capsys.readouterr().err


def test_propensities_of_slates_are_not_estimated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(slate_table(), tmp_path / "log.parquet")
    assert replay("log=parquet", "log.path=log.parquet", "estimator=slate_ips", "log.propensities=estimated") == REFUSED
    assert "random: propensities of slates cannot be estimated" in capsys.readouterr().err


WRONG = {
    "policy=[unifrm]": "did you mean 'uniform'",
    "estimator=[ipps]": "did you mean 'ips'",
    "log=open_bandid": "did you mean 'open_bandit'",
    "log.pathh=x": "did you mean 'log.path'",
    "policy=[]": "policy: none is configured",
    "estimator=[]": "estimator: none is configured",
    "estimator=[dr]": "uniform on old, dr: this estimator needs a reward model's prediction for every action, which is"
    " not there: give a model of rewards (model=means, model=logistic or model=ridge)",
    "estimator=[per_decision_ips]": "uniform on old, per_decision_ips: this estimator is for logs of another kind",
    "confidence=2": "confidence=2: expected above 0 and below 1",
    "selector=snip select=true": "selector=snip: no such estimator; did you mean 'snips'",
    "risk=0.7 select=true": "risk=0.7: expected above 0 and below 0.5",
    "policy=table": "policy.path",
    "policy=checkpoint": "policy.run",
    "estimator=[slate_ips]": "uniform on old, slate_ips: this estimator is for logs of another kind",
    "model=reward_to_go": "RewardToGoModel is no model for old: it is of single actions, take model=means",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_what_is_wrong_is_refused_in_one_message(
    arguments: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(action_table(300), tmp_path / "log.parquet")
    assert replay("log=parquet", "log.path=log.parquet", *arguments.split(" ")) == REFUSED
    shown = capsys.readouterr().err
    assert WRONG[arguments] in shown and "Traceback" not in shown


def test_rewards_that_are_no_classes_ask_for_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(action_table(600).with_columns(pl.col("reward") * 0.5), tmp_path / "log.parquet")
    run = ["log=parquet", "log.path=log.parquet", "estimator=[dr]"]
    assert replay(*run, "model=logistic") == REFUSED
    assert "LogisticRegression tells few rewards apart, such as 0 and 1, and the log has 0.5" in capsys.readouterr().err
    assert replay(*run, "model=ridge") == DONE


def spoilt(table: pl.DataFrame, row: int, **values: object) -> pl.DataFrame:
    """With other values in one row."""
    here = pl.int_range(pl.len()) == row
    changes = [
        pl.when(here).then(pl.lit(value, dtype=table.schema[name])).otherwise(name).alias(name)
        for name, value in values.items()
    ]
    return table.with_columns(changes)


ACTIONS, SLATES = action_table(300), slate_table(300)
BAD = {
    "propensity 0": (spoilt(ACTIONS, 7, propensity=0.0), "row 7", "is no propensity"),
    "propensity above 1": (spoilt(ACTIONS, 7, propensity=1.5), "row 7", "is no propensity"),
    "propensity NaN": (spoilt(ACTIONS, 7, propensity=float("nan")), "row 7", "is no propensity"),
    "reward NaN": (spoilt(ACTIONS, 9, reward=float("nan")), "row 9", "is no reward"),
    "action outside the support": (spoilt(ACTIONS, 5, action=8), "row 5", "is outside the support"),
    "policy null": (spoilt(ACTIONS, 4, policy=None), "row 4", "is null, expected who wrote it"),
    "item twice": (spoilt(SLATES, 6, slate=[1, 1]), "row 6", "holds an item twice"),
    "missing position": (spoilt(SLATES, 3, slate=[1, None]), "row 3", "holds a null"),
    "rewards of another length": (spoilt(SLATES, 2, rewards=[1.0]), "row 2", "rewards"),
    "prefix 0": (spoilt(SLATES, 2, prefix_propensities=[0.5, 0.0]), "row 2", "is no propensity"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_rows_are_refused_by_file_row_and_reason_or_left_out_and_counted(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, row, reason = BAD[kind]
    written(table, tmp_path / "bad.parquet")
    run = ["log=parquet", "log.path=bad.parquet", f"estimator={'slate_ips' if 'slate' in table.columns else 'ips'}"]
    if "slate" not in table.columns:
        written(pl.DataFrame({"action": range(3)}), tmp_path / "actions.parquet")
        run.append("log.actions=actions.parquet")
    assert replay(*run) == REFUSED
    shown = capsys.readouterr().err
    assert "bad.parquet" in shown and f"{row} (from 0)" in shown and reason in shown and "Traceback" not in shown
    assert replay(*run, "log.exclude=true") == DONE
    out = capsys.readouterr().out
    assert "excluded 1 row(s): 1 (" in out, "counted by reason"
    told = pl.read_parquet(tmp_path / out.splitlines()[-1] / "estimates.parquet")
    assert told["rounds"].to_list() == [299]


def test_rewards_as_text_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(ACTIONS.with_columns(pl.col("reward").cast(pl.String)), tmp_path / "bad.parquet")
    assert replay("log=parquet", "log.path=bad.parquet") == REFUSED
    shown = capsys.readouterr().err
    assert "bad.parquet" in shown and "'reward'" in shown and "numbers" in shown


def test_target_probabilities_that_do_not_sum_to_one_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(ACTIONS, tmp_path / "log.parquet")
    written(policy_table(ACTIONS, [0.5, 0.3, 0.1]), tmp_path / "table.parquet")
    assert replay("log=parquet", "log.path=log.parquet", "policy=table", "policy.path=table.parquet") == REFUSED
    shown = capsys.readouterr().err
    assert "table on old: table.parquet, row 0 (from 0)" in shown and "sum to 0.9, expected 1" in shown


def test_several_logs_are_printed_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = two_policies().with_columns(pl.col("policy").replace("uniform", "other"))
    written(log, tmp_path / "log.parquet")
    assert replay("log=parquet", "log.path=log.parquet", "estimator=ips") == DONE
    lines = capsys.readouterr().out.splitlines()
    assert sum("uniform, evaluated on the log o" in line for line in lines) == 2
    metrics = json.loads((tmp_path / lines[-1] / "metrics.json").read_text())
    assert set(metrics) == {"uniform/ips@old", "uniform/ips@other"}
    assert replay("log=parquet", "log.path=log.parquet", "log.policy=other", "estimator=ips") == DONE
    lines = capsys.readouterr().out.splitlines()
    assert set(json.loads((tmp_path / lines[-1] / "metrics.json").read_text())) == {"uniform/ips"}


@pytest.mark.parametrize("estimator", ["ips", "snips", "clipped", "dm", "cressie_read", "slate_ips", "cascade_dr"])
def test_estimators_of_rounds_or_slates_do_not_read_episodes(
    estimator: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(trajectories(), tmp_path / "log.parquet")
    assert replay("log=parquet", "log.path=log.parquet", f"estimator={estimator}") == REFUSED
    assert f"uniform on log, {estimator}: this estimator is for logs of another kind" in capsys.readouterr().err
