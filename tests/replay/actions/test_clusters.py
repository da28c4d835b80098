from __future__ import annotations

import polars as pl
import pytest

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import RequestError
from recsys.replay.actions.doubly_robust import DR
from recsys.replay.actions.importance import IPS
from recsys.replay.actions.marginal import ClusteredEstimator, MarginalWeights


def log(**features: list) -> ActionLog:
    return ActionLog("log", pl.LazyFrame(), pl.DataFrame({"action": range(4), **features}), 0, "")


def test_actions_alike_in_a_column_are_a_cluster() -> None:
    assert ClusteredEstimator(IPS, "kind").of(log(kind=["tie", "hat", "tie", "bag"])) == IPS(
        MarginalWeights((2, 1, 2, 0))
    )
    assert ClusteredEstimator(DR, "price").of(log(price=[2.5, 1.0, 1.0, 1.0])) == DR(MarginalWeights((1, 0, 0, 0)))


def test_actions_without_a_value_are_one_together() -> None:
    assert ClusteredEstimator(IPS, "kind").of(log(kind=["tie", None, "tie", None])) == IPS(
        MarginalWeights((1, 0, 1, 0))
    )


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match=r"'kin' is none: it has kind"):
        ClusteredEstimator(IPS, "kin").of(log(kind=["tie"] * 4))
    with pytest.raises(RequestError, match=r"None is none: give the log a table with one \(log.actions\)"):
        ClusteredEstimator(IPS, None).of(log())
    slates = SlateFeedbackLog("slates", pl.LazyFrame(), pl.DataFrame({"item_id": [0]}), 0, 1, "")
    with pytest.raises(RequestError, match="no log of single actions"):
        ClusteredEstimator(IPS, "kind").of(slates)
