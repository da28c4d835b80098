"""Ratings as exposures: what is liked, what order equal times have, and what cannot be read."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import pytest

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.sources.rated import RatedExposures
from recsys.data.sources.sessions import Sessions
from recsys.data.sources.source import Source, Tables
from recsys.errors import ConfigurationError, DataError


@dataclass(frozen=True)
class Given(Source):
    """Interactions in memory."""

    rows: pl.DataFrame

    def tables(self) -> Tables:
        return Tables(self.rows.lazy(), None, None, "given", "f")


RATINGS = pl.DataFrame(
    {
        "user_id": [1, 1, 1, 2, 2],
        "item_id": [30, 10, 20, 10, 30],
        "timestamp": [5, 6, 7, 1, 2],
        "rating": [5.0, 3.5, 4.0, None, 2.0],
    }
)


def test_an_item_is_liked_from_a_rating_on() -> None:
    log = prepare_slates(RatedExposures(Given(RATINGS)))
    item_ids = log.items["item_id"].to_list()
    assert [item_ids[item] for item in log.slates.values.tolist()] == [30, 10, 20, 30]
    assert log.slot_values("like").tolist() == log.slot_values("click").tolist() == [1, 0, 1, 0]
    assert log.slot_values("rating").tolist() == [5.0, 3.5, 4.0, 2.0]
    assert log.summary["without_rating"] == 1
    assert prepare_slates(RatedExposures(Given(RATINGS), liked=4.5)).slot_values("like").tolist() == [1, 0, 0, 0]


def test_events_of_one_time_have_an_order_of_each_user() -> None:
    """Sessions of twelve users who rated the same six items at once: all in one order would be a pattern to learn."""
    rows = [(user, item, 0, 4.0) for user in range(12) for item in range(6)]
    table = pl.DataFrame(rows, ["user_id", "item_id", "timestamp", "rating"], orient="row")
    log = prepare_slates(Sessions(RatedExposures(Given(table)), slots=6))
    orders = {tuple(slate) for slate in log.slates.values.view(12, 6).tolist()}
    assert len(orders) > 6
    shuffled = prepare_slates(Sessions(RatedExposures(Given(table.sample(fraction=1, shuffle=True, seed=1))), slots=6))
    assert shuffled.slates.values.tolist() == log.slates.values.tolist()


@pytest.mark.parametrize("column", ["rating", "timestamp"])
def test_interactions_without_ratings_or_times_are_refused(column: str) -> None:
    with pytest.raises(DataError, match=f"given: the interactions have no column '{column}'"):
        RatedExposures(Given(RATINGS.drop(column))).slates()


def test_the_threshold_is_a_number() -> None:
    with pytest.raises(ConfigurationError, match="liked=nan"):
        RatedExposures(Given(RATINGS), liked=float("nan"))


@pytest.mark.parametrize(
    ("rating", "scale", "message"),
    [
        (7.0, [1, 5], r"given, row 2 \(from 0\), column 'rating': 7\.0 is outside the scale, expected 1 to 5, or null"),
        (0.0, [0.5, 5], r"0\.0 is outside the scale, expected 0\.5 to 5"),
        (float("nan"), [1, 5], "nan is outside the scale"),
        (float("nan"), None, r"row 2 \(from 0\), column 'rating': nan is no finite number"),
        (float("inf"), None, "inf is no finite number"),
    ],
)
def test_a_rating_outside_the_scale_is_refused_with_its_row(
    rating: float, scale: list[float] | None, message: str
) -> None:
    ratings = [5.0, 3.5, rating, None, 2.0]
    with pytest.raises(DataError, match=message):
        RatedExposures(Given(RATINGS.with_columns(rating=pl.Series(ratings))), scale=scale).slates()


def test_ratings_of_which_none_is_liked_are_refused() -> None:
    with pytest.raises(DataError, match=r"none of 4 ratings is at least liked=6, the largest is 5; 1 row\(s\) without"):
        RatedExposures(Given(RATINGS), liked=6.0).slates()
    unrated = RATINGS.with_columns(rating=pl.lit(None, dtype=pl.Float64))
    with pytest.raises(DataError, match=r"none of 0 ratings is at least liked=4; 5 row\(s\) without a rating"):
        RatedExposures(Given(unrated)).slates()


@pytest.mark.parametrize("scale", [[5, 1], [1], [1, float("nan")], [1, 3]])
def test_a_scale_has_a_least_and_a_largest_rating_around_the_threshold(scale: list[float]) -> None:
    with pytest.raises(ConfigurationError, match=r"scale=.*: expected the least and the largest|liked=4\.0"):
        RatedExposures(Given(RATINGS), scale=scale)
