from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.datasets.preparation import SequencePreparation
from recsys.data.datasets.prepare import prepare
from recsys.data.datasets.selection import Selection
from recsys.data.datasets.split import GlobalTime, LeaveOneOut
from recsys.errors import ConfigurationError, DataError


def shop(users: int = 6) -> pl.DataFrame:
    """Each user looks at four items and buys two of them; ratings are 1, 3, 5 and none."""
    rows = [
        (user, (user + step) % 7, 10 * step, (1.0, 3.0, 5.0, None)[step % 4], "buy" if step % 2 else "view", 0.5)
        for user in range(users)
        for step in range(8)
    ]
    return pl.DataFrame(rows, ["user_id", "item_id", "timestamp", "rating", "event", "weight"], orient="row")


def test_low_ratings_and_other_kinds_are_dropped_and_counted(source: Callable[..., Any], tmp_path: Path) -> None:
    every = prepare(source(shop()), LeaveOneOut(), k_core=0, root=tmp_path)
    rated = prepare(source(shop()), LeaveOneOut(), k_core=0, min_rating=3, root=tmp_path)
    bought = prepare(source(shop()), LeaveOneOut(), k_core=0, events=["buy"], root=tmp_path)
    both = prepare(source(shop()), LeaveOneOut(), k_core=0, min_rating=3, events=["buy"], root=tmp_path)
    assert len({data.fingerprint for data in (every, rated, bought, both)}) == 4
    assert rated.summary["below_min_rating"] == 24 and "other_events" not in rated.summary
    assert bought.summary["other_events"] == 24
    assert (both.summary["below_min_rating"], both.summary["other_events"]) == (24, 12)
    assert all(data.summary["raw_events"] == 48 for data in (every, rated, bought, both))
    for data in (every, rated, bought, both):
        found = data.summary
        lost = ("below_min_rating", "other_events", "dropped_duplicates", "dropped_by_k_core")
        assert found["raw_events"] == found["events"] + sum(found.get(name, 0) for name in lost)
    assert "dropped 24 events below min_rating, 12 events of other kinds" in both.describe()


def test_a_column_that_is_not_read_is_named(source: Callable[..., Any], tmp_path: Path) -> None:
    line = prepare(source(shop()), LeaveOneOut(), k_core=0, root=tmp_path).describe()
    for column, option in (("rating", "min_rating"), ("event", "events"), ("weight", "weights")):
        assert f"column {column} is not read, every event counts alike (data.{option})" in line
    line = prepare(
        source(shop()), LeaveOneOut(), k_core=0, min_rating=0, events=["buy", "view"], root=tmp_path
    ).describe()
    assert "column weight" in line and "column rating" not in line and "column event" not in line
    plain = shop().drop("rating", "event", "weight")
    assert "not read" not in prepare(source(plain), LeaveOneOut(), k_core=0, root=tmp_path / "plain").describe()


def test_a_rating_that_is_no_number_is_below_any() -> None:
    rows = pl.LazyFrame({"rating": [float("nan"), None, -2.0, 4.0]})
    kept, counts = Selection(min_rating=-9.0)(rows)
    assert kept.collect().to_series().to_list() == [-2.0, 4.0] and counts == {"below_min_rating": 2}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no column": ({"min_rating": 3}, r"data.min_rating=3: interactions have no column 'rating'; found user_id"),
    "no kind": ({"events": ["buys"]}, r"data.events=\[buys\]: no interaction has event 'buys'; found buy, view"),
    "nothing": ({"events": ["buy"], "min_rating": 6}, r"data.min_rating=6 and data.events=\[buy\] leave none of 48"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_selections_that_leave_nothing_are_refused(
    source: Callable[..., Any], tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    log = shop().drop("rating") if "no column" in message else shop()
    with pytest.raises(DataError, match=message):
        prepare(source(log), LeaveOneOut(), root=tmp_path, **options)


def test_weights_and_empty_lists_are_refused(source: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"data.weights=true: no training weighs events"):
        prepare(source(shop()), LeaveOneOut(), weights=True, root=tmp_path)
    with pytest.raises(ConfigurationError, match=r"data.events=\(\): expected a list of kinds"):
        Selection(events=())


def test_what_the_core_drops_is_said(source: Callable[..., Any], tmp_path: Path) -> None:
    log = pl.concat([shop(), shop(10).filter(pl.col("user_id") > 6).group_by("user_id").head(2)], how="vertical")
    line = prepare(source(log), LeaveOneOut(), k_core=5, root=tmp_path).describe()
    assert "3 of 9 users left with fewer than 5 events" in line
    with pytest.raises(DataError, match=r"data.k_core=50 leaves none of \d+ events: 9 of 9 users and 7 of 7"):
        prepare(source(log), LeaveOneOut(), k_core=50, root=tmp_path)


def test_the_share_of_events_of_equal_time_is_said(source: Callable[..., Any], tmp_path: Path) -> None:
    log = shop().with_columns(pl.col("timestamp") // 20)
    data = prepare(source(log), LeaveOneOut(), k_core=0, repeats=True, root=tmp_path)
    assert data.summary["equal_time_share"] == 0.5
    assert "50.00 % of the events have the time of the user's event before" in data.describe()
    ordered = log.with_columns(order=pl.int_range(pl.len()).over("user_id"))
    assert prepare(source(ordered), LeaveOneOut(), k_core=0, root=tmp_path).summary["equal_time_share"] == 0


SMALL: dict[str, tuple[pl.DataFrame, Any, str]] = {
    "one user": (shop(1), LeaveOneOut(), "frames: 1 user is left of the interactions"),
    "one item": (
        shop().with_columns(item_id=3),
        LeaveOneOut(),
        "1 item is left of the interactions",
    ),
    "two events each": (
        shop().group_by("user_id").head(2),
        LeaveOneOut(),
        r"LeaveOneOut\(\) leaves no validation",
    ),
    "nobody returns": (
        pl.DataFrame({"user_id": range(20), "item_id": [1, 2] * 10, "timestamp": range(20)}),
        GlobalTime(),
        "the validation period holds no event of a user with a history",
    ),
}


@pytest.mark.parametrize(("log", "split", "message"), SMALL.values(), ids=SMALL)
def test_data_too_small_to_learn_from_are_refused_in_one_line(
    source: Callable[..., Any], tmp_path: Path, log: pl.DataFrame, split: Any, message: str
) -> None:
    preparation = SequencePreparation(source(log), split, k_core=0, root=str(tmp_path))
    with pytest.raises(DataError, match=message) as caught:
        preparation.prepare(tmp_path)
    assert "\n" not in str(caught.value)
