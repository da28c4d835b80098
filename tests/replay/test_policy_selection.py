from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.batches import LoggedActions
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.errors import ConfigurationError, RequestError
from recsys.replay.actions.doubly_robust import DM
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.actions.reward_model import ActionMeans
from recsys.replay.batch import in_half
from recsys.replay.options import ReplayOptions
from recsys.replay.policy_selection import choose_policy
from recsys.replay.targets.policies import PopularityTarget
from tests.replay.feedback_files import MEANS, action_table, written

CHANCES = {"first": [0.8, 0.1, 0.1], "last": [0.1, 0.1, 0.8], "even": [1 / 3] * 3}


class Fixed:
    """A policy that does not look at contexts."""

    def __init__(self, chances: list[float]) -> None:
        self.chances = torch.tensor(chances, dtype=torch.float64)

    def target(self, batch: LoggedActions) -> torch.Tensor:
        return self.chances[batch.action]

    def target_all(self, batch: LoggedActions) -> torch.Tensor:
        return self.chances.expand(len(batch), -1)


def fixed(chances: list[float]) -> Any:
    return lambda log: Fixed(chances)


POLICIES = {name: fixed(chances) for name, chances in CHANCES.items()}


def a_log(folder: Path, rounds: int = 3000, seed: int = 0) -> ActionLog:
    log = ParquetFeedback(written(action_table(rounds, seed, None), folder / "log.parquet")).log()
    assert isinstance(log, ActionLog)
    return log


def unchecked(rounds: int, seed: int) -> ActionLog:
    """The same as `a_log`, without what reading a file costs."""
    table = action_table(rounds, seed, None).drop("context")
    actions = pl.DataFrame({"action": range(3)})
    return ActionLog("log", table.lazy(), actions, rounds, "", users=table["user_id"].unique().sort())


def test_the_best_policy_is_chosen_and_reported_from_other_users(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    choice = choose_policy({"log": log}, POLICIES, IPS(), {"snips": SNIPS()})
    assert choice.policy == "last"
    assert choice.considered["policy"].to_list() == list(POLICIES)
    assert choice.low == choice.considered.filter(policy="last")["low"].item()
    assert choice.report["estimator"].to_list() == ["snips"] and choice.report["policy"].to_list() == ["last"]
    table = action_table(3000, 0, None)
    first = pl.Series(in_half(torch.from_numpy(table["user_id"].to_numpy().copy()), 0).numpy())
    weighed = pl.Series(np.array(CHANCES["last"])[table["action"]] / table["propensity"].to_numpy())
    chose, told = ((weighed * table["reward"]).filter(first), table.filter(~first))
    assert choice.considered.filter(policy="last")["value"].item() == pytest.approx(chose.mean())
    rest = weighed.filter(~first)
    assert choice.report["value"].item() == pytest.approx(float(np.average(told["reward"], weights=rest)))
    assert not set(table.filter(first)["user_id"]) & set(told["user_id"])


def test_more_policies_make_the_bound_lower(tmp_path: Path) -> None:
    log = a_log(tmp_path)
    alone = choose_policy({"log": log}, {"last": POLICIES["last"]}, IPS(), {"ips": IPS()})
    among = choose_policy({"log": log}, POLICIES, IPS(), {"ips": IPS()})
    riskier = choose_policy({"log": log}, POLICIES, IPS(), {"ips": IPS()}, risk=0.2)
    assert among.low < alone.low and among.low < riskier.low


@pytest.mark.slow
def test_the_chosen_policy_earns_its_bound_in_at_least_as_many_logs_as_was_said() -> None:
    truths = {name: float(np.dot(chances, MEANS)) for name, chances in CHANCES.items()}
    held = 0
    for seed in range(200):
        choice = choose_policy({"log": unchecked(450, seed)}, POLICIES, IPS(), {"ips": IPS()}, risk=0.05)
        held += choice.low <= truths[choice.policy]
    assert held >= 190, f"the bound held in {held} of 200"


def test_the_models_of_the_chooser_have_not_seen_the_half_that_reports(tmp_path: Path) -> None:
    """Turn the rewards of the half that reports around: what is chosen, and by what bound, is the same."""
    table = action_table(1500, 0, None)
    second = pl.Series(in_half(torch.from_numpy(table["user_id"].to_numpy().copy()), 1).numpy())
    turned = table.with_columns(pl.Series("reward", table["reward"] + second * (1 - 2 * table["reward"])))
    assert not turned.equals(table)
    found = []
    for one in (table, turned):
        log = ParquetFeedback(written(one, tmp_path / "log.parquet")).log()
        found.append(choose_policy({"log": log}, POLICIES, DM(), {"ips": IPS()}, ReplayOptions(model=ActionMeans())))
    assert found[0].considered.equals(found[1].considered)
    assert not found[0].report.equals(found[1].report)


def test_a_log_that_does_not_tell_chooses_nobody(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="gives no reliable estimate of any policy: first: effective sample size"):
        choose_policy({"log": a_log(tmp_path, 90)}, POLICIES, IPS(), {"ips": IPS()})


def test_a_policy_of_which_the_log_does_not_tell_is_not_chosen(tmp_path: Path) -> None:
    log = action_table(3000, 0, None, [0.6, 0.4, 0.0])
    actions = written(pl.DataFrame({"action": range(3)}), tmp_path / "actions.parquet")
    read = ParquetFeedback(written(log, tmp_path / "log.parquet"), actions=actions).log()
    policies = {"unknown": fixed([0.0, 0.1, 0.9]), "known": fixed([0.5, 0.5, 0.0])}
    choice = choose_policy({"log": read}, policies, IPS(), {"ips": IPS()})
    assert choice.policy == "known" and choice.considered.filter(policy="unknown")["warning"].item()


@pytest.mark.parametrize("risk", [0.0, 0.5, 1.0])
def test_risks_that_are_none_are_refused(tmp_path: Path, risk: float) -> None:
    with pytest.raises(ConfigurationError, match=r"expected above 0 and below 0\.5"):
        choose_policy({"log": a_log(tmp_path, 90)}, POLICIES, IPS(), {"ips": IPS()}, risk=risk)


def test_a_policy_made_of_the_half_that_reports_is_refused() -> None:
    with pytest.raises(RequestError, match="policy 'popularity' is made of the half that is to report: leave it out"):
        choose_policy({}, {"popularity": PopularityTarget()}, IPS(), {"ips": IPS()})
