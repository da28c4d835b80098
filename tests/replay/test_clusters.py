from __future__ import annotations

import polars as pl
import pytest

from recsys.data.action_log import ActionLog
from recsys.data.slate_feedback import SlateFeedback
from recsys.errors import RequestError
from recsys.replay.clusters import ByColumn
from recsys.replay.doubly_robust import DR
from recsys.replay.importance import IPS
from recsys.replay.marginal import Marginal


def log(**features: list) -> ActionLog:
    return ActionLog("log", pl.LazyFrame(), pl.DataFrame({"action": range(4), **features}), 0, "")


def test_actions_alike_in_a_column_are_a_cluster() -> None:
    assert ByColumn(IPS, "kind").of(log(kind=["tie", "hat", "tie", "bag"])) == IPS(Marginal((2, 1, 2, 0)))
    assert ByColumn(DR, "price").of(log(price=[2.5, 1.0, 1.0, 1.0])) == DR(Marginal((1, 0, 0, 0)))


def test_actions_without_a_value_are_one_together() -> None:
    assert ByColumn(IPS, "kind").of(log(kind=["tie", None, "tie", None])) == IPS(Marginal((1, 0, 1, 0)))


def test_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(RequestError, match=r"'kin' is none: it has kind"):
        ByColumn(IPS, "kin").of(log(kind=["tie"] * 4))
    with pytest.raises(RequestError, match=r"None is none: give the log a table with one \(log.actions\)"):
        ByColumn(IPS, None).of(log())
    slates = SlateFeedback("slates", pl.LazyFrame(), pl.DataFrame({"item_id": [0]}), 0, 1, "")
    with pytest.raises(RequestError, match="no log of single actions"):
        ByColumn(IPS, "kind").of(slates)
