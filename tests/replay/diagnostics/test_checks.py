from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.importance import IPS
from recsys.replay.diagnostics.checks import (
    CLIP,
    CLIP_LIMITS,
    INVERSE_PROPENSITY,
    InversePropensity,
    diagnostic_estimators,
    weight_tails,
)
from recsys.replay.evaluation import evaluate
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.options import ReplayOptions
from recsys.replay.runner import replay
from recsys.replay.slates.importance import SlateIPS
from recsys.replay.sums import Sums
from recsys.replay.targets.policies import UniformTarget
from tests.replay.feedback_files import action_table, slate_table, written
from tests.replay.logs import rounds

UNIFORM = {"uniform": UniformTarget()}


def test_clipping_goes_from_one_to_no_clipping(tmp_path: Path) -> None:
    logs = {"old": ParquetFeedback(written(action_table(), tmp_path / "log.parquet")).log()}
    result = evaluate(logs, UNIFORM, {"ips": IPS()})
    values = dict(pl.concat([result.estimates, result.checks]).select("estimator", "value").iter_rows())
    clipped = [values[f"{CLIP}{limit:g}"] for limit in CLIP_LIMITS]
    assert np.diff(clipped).min() > -1e-12 and clipped[0] < clipped[1]
    assert clipped[-1] == pytest.approx(values["ips"], rel=1e-12)
    assert values[INVERSE_PROPENSITY] == pytest.approx(3, rel=0.05)


def test_slates_have_no_such_checks_nor_tails(tmp_path: Path) -> None:
    logs = {"random": ParquetFeedback(written(slate_table(), tmp_path / "log.parquet")).log()}
    assert diagnostic_estimators(logs) == {}
    assert len(weight_tails(replay(logs, UNIFORM, {"ips": SlateIPS()}, ReplayOptions()))) == 0


def test_the_tail_says_how_much_weight_is_of_which_size(tmp_path: Path) -> None:
    log = action_table()
    logs = {"old": ParquetFeedback(written(log, tmp_path / "log.parquet")).log()}
    table = weight_tails(replay(logs, UNIFORM, {"ips": IPS()}, ReplayOptions()))
    weight = 1 / 3 / log["propensity"]
    for row in table.iter_rows(named=True):
        above = weight.filter(weight >= row["weight"])
        assert row["rounds"] == pytest.approx(len(above) / len(log))
        assert row["weight_share"] == pytest.approx(above.sum() / weight.sum())
    assert table["policy"].unique().to_list() == ["uniform"] and table["rounds"][0] == 1


def mean(log: BanditBatch) -> tuple[float, float, float]:
    found = closed_form(InversePropensity(), Sums.of(InversePropensity().terms(log)))
    assert found.low is not None and found.high is not None
    return found.low, found.value, found.high


def test_right_propensities_average_the_number_of_actions() -> None:
    low, _, high = mean(rounds(5_000, actions=4))
    assert low < 4 < high


def test_propensities_of_another_policy_do_not() -> None:
    log = rounds(5_000, actions=4)
    _, _, high = mean(replace(log, logging=log.logging.sqrt()))
    assert high < 4


def test_by_hand(four_rounds: BanditBatch) -> None:
    assert mean(four_rounds)[1] == pytest.approx((1 / 0.8 + 1 / 0.25 + 1 / 0.6 + 1 / 0.2) / 4)
    assert torch.equal(InversePropensity().weight(four_rounds), 1 / four_rounds.logging)
