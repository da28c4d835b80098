from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.data.sources.feedback_clicks import FeedbackClicks
from recsys.data.sources.source import Source
from recsys.errors import DataError

LOG = pl.DataFrame(
    {
        "request_id": ["a/0/1", "a/1/1", "a/0/2", "b/0/1"],
        "user_id": [1, 1, 2, 1],
        "timestamp": [7, 3, 0, 5],
        "policy": ["a", "a", "a", "b"],
        "slate": [[4, 2, 9], [9, 4], [2], [8]],
        "rewards": [[0.0, 1.0, 2.0], [1.0, 0.0], [0.0], [1.0]],
    }
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feedback.parquet"


def test_slots_that_earned_in_the_order_shown(path: Path) -> None:
    LOG.write_parquet(path)
    source = FeedbackClicks(path, policy="a")
    assert isinstance(source, Source)
    tables = source.tables()
    assert tables.interactions.collect().rows() == [(1, 9, 0), (1, 2, 1), (1, 9, 2)]
    assert (tables.name, tables.items, tables.users) == ("feedback", None, None)
    assert FeedbackClicks(path, policy="b").tables().fingerprint != tables.fingerprint


def test_a_log_of_one_policy_need_not_name_it(path: Path) -> None:
    LOG.drop("policy").write_parquet(path)
    assert len(FeedbackClicks(path, name="mine").tables().interactions.collect()) == 4
    with pytest.raises(DataError, match="no column 'policy' to find 'a' in"):
        FeedbackClicks(path, policy="a").tables()


@pytest.mark.parametrize(
    ("policy", "message"),
    [(None, r"slates of 2 policies \(a, b\). Choose one"), ("c", "no slates of policy 'c'; found a, b")],
)
def test_users_of_several_policies_are_not_mixed(path: Path, policy: str | None, message: str) -> None:
    LOG.write_parquet(path)
    with pytest.raises(DataError, match=message):
        FeedbackClicks(path, policy).tables()


def test_a_log_from_which_nothing_can_be_learnt_is_refused(path: Path) -> None:
    LOG.filter(pl.col("user_id") == 2).write_parquet(path)
    with pytest.raises(DataError, match="no slot earned more than 0"):
        FeedbackClicks(path).tables()
    LOG.with_columns(rewards=pl.lit("1")).write_parquet(path)
    with pytest.raises(DataError, match="'rewards' of table 'feedback' holds String, expected lists of numbers"):
        FeedbackClicks(path).tables()
