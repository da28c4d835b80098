from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.feedback_source import ParquetFeedback, by_policy
from recsys.errors import ConfigurationError, RequestError
from recsys.replay.actions.doubly_robust import DM, DR, MRDR
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.marginal import ClusteredEstimator
from recsys.replay.actions.reward_model import ActionMeans
from recsys.replay.actions.weights import Clip, EstimatedWeights
from recsys.replay.batch import in_half
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.episodes.doubly_robust import SequentialDR
from recsys.replay.episodes.importance import PerDecisionIPS
from recsys.replay.episodes.magic import MAGIC
from recsys.replay.estimator_selection import Slope
from recsys.replay.evaluation import evaluate
from recsys.replay.intervals.methods import AnytimeValid
from recsys.replay.options import ReplayOptions
from recsys.replay.result import SCHEMA
from recsys.replay.runner import PLAIN, replay
from recsys.replay.slates.fitted_models import RewardToGoModel
from recsys.replay.slates.importance import SlateIPS
from recsys.replay.slates.weights import PrefixWeights, SlotWeights
from recsys.replay.targets.policies import TableTarget, UniformTarget
from tests.replay.feedback_files import (
    MEANS,
    action_table,
    policy_table,
    slate_table,
    trajectories,
    two_policies,
    written,
)


def estimates(*arguments: Any) -> pl.DataFrame:
    return evaluate(*arguments).estimates


UNIFORM = {"uniform": UniformTarget()}


def logs_of(table: pl.DataFrame, folder: Path, **options: Any) -> dict[str, Any]:
    path = folder / f"log_{len(list(folder.iterdir()))}.parquet"  # a log is read when it is used
    return {name: source.log() for name, source in by_policy(written(table, path), **options).items()}


def test_a_policy_is_evaluated_by_another_log_and_compared_with_its_own(tmp_path: Path) -> None:
    logs = logs_of(two_policies(), tmp_path)
    table = estimates(logs, UNIFORM, {"ips": IPS(), "snips": SNIPS()})
    assert dict(table.schema) == SCHEMA and table["log"].to_list() == ["old", "old"]
    own = two_policies().filter(policy="uniform")["reward"]
    for row in table.iter_rows(named=True):
        assert row["truth"] == pytest.approx(own.mean())
        assert row["relative_error"] == pytest.approx(abs(row["value"] - row["truth"]) / row["truth"])
        assert row["low"] < MEANS.mean() < row["high"]
        assert row["truth_low"] < MEANS.mean() < row["truth_high"]
        assert row["warning"] == "" and row["estimated"] is False and row["rounds"] == 2000
    old = two_policies().filter(policy="old")
    assert table["on_policy_value"].to_list() == pytest.approx([old["reward"].mean()] * 2)
    by_hand = old.select((pl.col("reward") / pl.col("propensity") / 3).mean()).item()
    assert table["value"][0] == pytest.approx(by_hand)


def test_the_truth_needs_no_probability_on_the_policys_own_log(tmp_path: Path) -> None:
    old = two_policies().filter(policy="old")
    path = written(policy_table(old, [1 / 3] * 3), tmp_path / "of_the_other_log.parquet")
    row = estimates(logs_of(two_policies(), tmp_path), {"uniform": TableTarget(path)}, {"ips": IPS()}).row(
        0, named=True
    )
    assert row["low"] < row["truth"] < row["high"]


def test_a_policy_without_a_log_of_its_own_has_no_truth(tmp_path: Path) -> None:
    table = estimates(logs_of(action_table(), tmp_path), UNIFORM, {"ips": IPS()})
    assert table["truth"].is_null().all() and table["relative_error"].is_null().all()


def test_a_policy_evaluated_by_several_logs_has_a_row_for_each(tmp_path: Path) -> None:
    table = pl.concat([action_table(), action_table(seed=2, policy="older", logging=[0.2, 0.3, 0.5])])
    logs = logs_of(table.with_columns(request_id=pl.int_range(pl.len())), tmp_path)
    found = estimates(logs, UNIFORM, {"ips": IPS()})
    assert found["log"].to_list() == ["old", "older"]
    assert all(row["low"] < MEANS.mean() < row["high"] for row in found.iter_rows(named=True))


def test_a_policy_that_wrote_the_only_log_cannot_be_evaluated(tmp_path: Path) -> None:
    logs = logs_of(action_table(policy="uniform"), tmp_path)
    with pytest.raises(RequestError, match="policy 'uniform' wrote the only log"):
        estimates(logs, UNIFORM, {"ips": IPS()})


def test_choices_that_the_log_lacks_are_no_estimate(tmp_path: Path) -> None:
    log = action_table(logging=[0.5, 0.5, 0.0])
    actions = written(pl.DataFrame({"action": range(3)}), tmp_path / "actions.parquet")
    logs = logs_of(log, tmp_path, actions=actions)
    table = estimates(
        logs, UNIFORM, {"ips": IPS(), "clipped": IPS(Clip(0.5)), "dm": DM()}, ReplayOptions(model=ActionMeans())
    )
    doubts = dict(table.select("estimator", "warning").iter_rows())
    assert "the policy makes choices that the log does not show" in doubts["ips"]
    assert doubts["clipped"] == doubts["ips"], "a clipped weight hides nothing of the plain ones"
    assert doubts["dm"] == "", "a model alone rests on no weight"
    assert table["value"].is_not_null().all()


@pytest.mark.parametrize("users", [True, False])
def test_an_average_of_weights_is_as_sure_as_there_are_users(tmp_path: Path, users: bool) -> None:
    """Eight of forty users take one action all along, where sixteen would on average; 30 rows of each tell no more."""
    action = np.repeat([0] * 32 + [2] * 8, 30)
    log = pl.DataFrame(
        {
            "user_id": np.arange(1200) // 30,
            "action": action,
            "reward": np.ones(1200),
            "propensity": np.where(action == 0, 0.6, 0.4),
        }
    )
    actions = written(pl.DataFrame({"action": [0, 2]}), tmp_path / "actions.parquet")
    logs = logs_of(log if users else log.drop("user_id"), tmp_path, actions=actions)
    warning = estimates(logs, UNIFORM, {"ips": IPS()}).item(0, "warning")
    assert (warning == "") == users
    assert users or "weights average 0.917 [" in warning


def test_too_few_rounds_are_no_estimate(tmp_path: Path) -> None:
    table = estimates(logs_of(action_table(60), tmp_path), UNIFORM, {"ips": IPS()})
    assert "at least 100 is asked" in table["warning"][0]


def test_a_ratio_of_nothing_is_null(tmp_path: Path) -> None:
    log = action_table(300, logging=[1.0, 0.0, 0.0])
    path = written(policy_table(log, [0.0, 0.5, 0.5]), tmp_path / "target.parquet")
    actions = written(pl.DataFrame({"action": range(3)}), tmp_path / "actions.parquet")
    table = estimates(logs_of(log, tmp_path, actions=actions), {"table": TableTarget(path)}, {"snips": SNIPS()})
    assert table.select("value", "low", "high").row(0) == (None, None, None) and table["warning"][0]


def test_what_is_chosen_is_said(tmp_path: Path) -> None:
    family = Slope((IPS(), IPS(Clip(100.0))))
    row = estimates(logs_of(action_table(), tmp_path), UNIFORM, {"clipped": family}).row(0, named=True)
    assert row["chosen"] == str(IPS(Clip(100.0))), "no weight is above 100, so nothing speaks against the last"
    assert row["low"] < row["value"] < row["high"]


def test_one_half_knows_nothing_of_the_other(tmp_path: Path) -> None:
    """Rewards of the other half change no figure, models of rewards included."""
    log = action_table()
    users = torch.from_numpy(log["user_id"].unique().sort().to_numpy().copy())
    first = pl.Series(in_half(torch.arange(len(users)), 0).numpy())
    inside = log.join(pl.DataFrame({"user_id": users.numpy(), "first": first}), on="user_id", maintain_order="left")
    changed = inside.with_columns(pl.when("first").then("reward").otherwise(1 - pl.col("reward")).alias("reward"))
    estimators: dict[str, Any] = {"ips": IPS(), "dr": DR(), "mrdr": MRDR(), "balanced": IPS(EstimatedWeights())}
    halves = [
        estimates(
            logs_of(table.drop("first"), tmp_path), UNIFORM, estimators, ReplayOptions(model=ActionMeans(), half=half)
        )
        for table in (inside, changed)
        for half in (0, 1)
    ]
    assert halves[0].equals(halves[2]) and not halves[1].equals(halves[3])
    assert halves[0]["rounds"][0] + halves[1]["rounds"][0] == len(log)
    assert halves[0]["rounds"][0] == inside["first"].sum()


def test_every_actions_probability_is_asked_for_only_where_it_is_needed(tmp_path: Path) -> None:
    log = action_table()
    path = written(policy_table(log, [1 / 3] * 3, every=False), tmp_path / "logged.parquet")
    logs, policies = logs_of(log, tmp_path), {"table": TableTarget(path)}
    options = ReplayOptions(model=ActionMeans(), logging={"old": UniformTarget()})
    assert estimates(logs, policies, {"ips": IPS()}, options)["value"][0] > 0
    with pytest.raises(RequestError, match="table on old, dr: policy table 'logged' has the logged actions only"):
        estimates(logs, policies, {"ips": IPS(), "dr": DR()}, options)


def test_what_is_missing_is_refused_by_policy_log_and_estimator(tmp_path: Path) -> None:
    logs = logs_of(action_table(), tmp_path)
    with pytest.raises(RequestError, match=r"^uniform on old, dr: this estimator needs a reward model's .*model=means"):
        estimates(logs, UNIFORM, {"ips": IPS(), "dr": DR()})
    with pytest.raises(RequestError, match=r"^uniform on old, family: .*reward model"):
        estimates(logs, UNIFORM, {"family": Slope((DR(), DM()))})
    with pytest.raises(RequestError, match=r"^uniform on old: clusters .*\(log.clusters\), and 'kind' is none"):
        estimates(logs, UNIFORM, {"mips": ClusteredEstimator(IPS, "kind")})
    with pytest.raises(RequestError, match=r"^uniform on old: the log has no propensities.*log.propensities=estimated"):
        estimates(logs_of(action_table().drop("propensity"), tmp_path), UNIFORM, {"ips": IPS()})
    with pytest.raises(RequestError, match=r"^uniform on old: .* is no policy of single actions"):
        estimates(logs, {"uniform": lambda log: lambda batch: batch}, {"ips": IPS()})
    with pytest.raises(RequestError, match=r"^uniform on old, ips: the log has 2000 rounds of 667 users"):
        estimates(logs, UNIFORM, {"ips": IPS()}, ReplayOptions(AnytimeValid()))


def test_options_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"confidence=1\.5: expected above 0 and below 1"):
        ReplayOptions(confidence=1.5)
    with pytest.raises(ConfigurationError, match="half=2"):
        ReplayOptions(half=2)


def test_clusters_of_a_column_are_weighed_together(tmp_path: Path) -> None:
    log = action_table()
    actions = pl.DataFrame({"action": range(3), "kind": ["a", "a", "b"]})
    logs = logs_of(log, tmp_path, actions=written(actions, tmp_path / "actions.parquet"))
    path = written(policy_table(log, [0.5, 0.3, 0.2]), tmp_path / "who.parquet")
    options = ReplayOptions(logging={"old": TableTarget(path)})
    table = estimates(logs, UNIFORM, {"mips": ClusteredEstimator(IPS, "kind")}, options)
    weight = pl.when(pl.col("action") == 2).then((1 / 3) / 0.2).otherwise((2 / 3) / 0.8)
    assert table["value"][0] == pytest.approx(log.select((weight * pl.col("reward")).mean()).item())


def test_slates_are_evaluated(tmp_path: Path) -> None:
    log = slate_table()
    logs = logs_of(log, tmp_path)
    table = estimates(logs, UNIFORM, {"whole": SlateIPS(), "prefix": SlateIPS(PrefixWeights())})
    earned = log["rewards"].list.sum().mean()
    assert table["value"].to_list() == pytest.approx([earned] * 2, rel=1e-6)
    assert table["max_weight"].to_list() == pytest.approx([1] * 2) and table["warning"].to_list() == ["", ""]
    with pytest.raises(RequestError, match=r"^uniform on random, slot: .*slot_propensities.*log.logging"):
        estimates(logs, UNIFORM, {"slot": SlateIPS(SlotWeights())})
    found = estimates(
        logs, UNIFORM, {"slot": SlateIPS(SlotWeights())}, ReplayOptions(logging={"random": UniformTarget()})
    )
    assert found["value"][0] == pytest.approx(earned, rel=1e-6)
    with pytest.raises(
        RequestError, match="ActionMeans is no model for random: it is of slates, take model=reward_to_go"
    ):
        estimates(logs, UNIFORM, {"whole": SlateIPS()}, ReplayOptions(model=ActionMeans()))
    with pytest.raises(RequestError, match="RewardToGoModel is no model for old: it is of single actions"):
        estimates(logs_of(action_table(), tmp_path), UNIFORM, {"ips": IPS()}, ReplayOptions(model=RewardToGoModel()))


def test_episodes_are_evaluated(tmp_path: Path) -> None:
    log = ParquetFeedback(written(trajectories(), tmp_path / "log.parquet")).log()
    table = estimates({"log": log}, UNIFORM, {"ips": PerDecisionIPS()})
    row = table.row(0, named=True)
    assert row["low"] < 0.5 * (1 + 2 + 3) / 3 < row["high"] and row["rounds"] == 400
    assert row["on_policy_value"] == pytest.approx(trajectories()["reward"].sum() / 400)


def test_a_blend_of_returns_is_said_and_has_no_interval(tmp_path: Path) -> None:
    log = ParquetFeedback(written(trajectories(), tmp_path / "log.parquet")).log()

    def beside(log: Any) -> Any:
        def one(batch: Any) -> EpisodeBatch:
            episodes = EpisodeBatch.of(batch, torch.full_like(batch.reward, 0.5))
            half = torch.full_like(batch.reward, 0.5)
            return replace(episodes, predicted=half, expected=half)

        return one

    table = estimates({"log": log}, {"half": beside}, {"magic": MAGIC(3), "dr": SequentialDR()})
    magic = table.row(0, named=True)
    assert magic["chosen"] and magic["low"] is None and magic["value"] is not None
    assert table["low"][1] is not None


def test_plain_weights_are_summed_beside_whatever_is_asked(tmp_path: Path) -> None:
    logs = logs_of(action_table(), tmp_path)
    [one] = replay(logs, UNIFORM, {"clipped": IPS(Clip(0.7))}, ReplayOptions())
    log = logs["old"]
    assert isinstance(log, ActionLog)
    weights = torch.cat([1 / 3 / batch.propensity for batch in log.batches() if batch.propensity is not None])
    assert one.found.weights[PLAIN].total == pytest.approx(float(weights.sum()))
    assert one.found.weights["clipped"].largest == pytest.approx(0.7)


def test_models_reach_estimators_in_any_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logs = logs_of(action_table(), tmp_path)
    estimators: dict[str, Any] = {"dr": DR(), "mrdr": MRDR(), "balanced": IPS(EstimatedWeights())}
    options = ReplayOptions(model=ActionMeans())
    whole = estimates(logs, UNIFORM, estimators, options)
    monkeypatch.setattr("recsys.replay.actions.fitted_models.LEAST", 100)
    monkeypatch.setattr("recsys.replay.actions.fitted_models.NUMBERS", 300)
    parts = estimates(logs, UNIFORM, estimators, options)
    assert np.allclose(whole["value"].to_numpy(), parts["value"].to_numpy(), rtol=1e-12)
    assert len(set(whole["value"].to_list())) == 3


def test_discounted_estimates_are_not_compared_with_what_was_earned_without_discount(tmp_path: Path) -> None:
    steps = trajectories()
    logs = logs_of(steps.with_columns(policy=pl.lit("old")), tmp_path) | {
        "uniform": logs_of(steps, tmp_path)["log"],
    }
    table = estimates(logs, UNIFORM, {"plain": PerDecisionIPS(), "discounted": PerDecisionIPS(discount=0.5)})
    plain, discounted = table.iter_rows(named=True)
    assert plain["truth"] == discounted["truth"] == pytest.approx(steps["reward"].sum() / 400)
    assert plain["relative_error"] is not None and discounted["relative_error"] is None
    assert discounted["value"] < plain["value"]
