from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.prepare import prepare
from recsys.data.datasets.split import LeaveOneOut
from recsys.errors import DataError
from recsys.types.jagged import Jagged


@pytest.fixture
def dataset(log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path) -> Dataset:
    """Users 10 (items 5, 7, 6), 20 (item 6) and 30 (items 5, 6, 7, 8); items 5, 6, 7, 8 are 0, 1, 2, 3."""
    return prepare(source(log), LeaveOneOut(), k_core=0, root=tmp_path)


def rows(jagged: Jagged) -> list[list[int]]:
    return [part.tolist() for part in jagged.values.split(jagged.lengths.tolist())]


def test_training_holds_all_but_the_last_two(dataset: Dataset) -> None:
    assert (dataset.num_users, dataset.num_items) == (3, 4)
    assert rows(dataset.train.history) == [[0], [1], [0, 1]]
    assert dataset.train.users.tolist() == [0, 1, 2]
    assert dataset.train.excluded.values.numel() == 0
    assert dataset.items.get_column("interactions").to_list() == [2, 2, 0, 0]
    assert dataset.items.get_column("item_id").to_list() == [5, 6, 7, 8]


def test_requests_hold_everything_before_their_target(dataset: Dataset) -> None:
    validation, test = dataset.validation.context, dataset.test.context
    assert validation.users.tolist() == [0, 2] == test.users.tolist()
    assert rows(validation.history) == [[0], [0, 1]]
    assert rows(test.history) == [[0, 2], [0, 1, 2]] == rows(test.excluded)
    assert dataset.validation.item.tolist() == [2, 2]
    assert dataset.test.item.tolist() == [1, 3]


def test_same_day_compares_the_target_with_the_last_event_before_it(dataset: Dataset) -> None:
    assert dataset.same_day["validation"].tolist() == [True, True]
    assert dataset.same_day["test"].tolist() == [False, False]


def test_recommending_uses_all_events_and_raw_ids(dataset: Dataset) -> None:
    context = dataset.recommend_context([30, "10"])
    assert context.users.tolist() == [2, 0]
    assert rows(context.history) == [[0, 1, 2, 3], [0, 2, 1]] == rows(context.excluded)
    with pytest.raises(DataError, match="user '99' is not in frames, which has 3 users, such as 10"):
        dataset.recommend_context([10, 99])


def test_nothing_is_excluded_where_users_may_have_an_item_again(
    log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path
) -> None:
    dataset = prepare(source(log), LeaveOneOut(), k_core=0, repeats=True, root=tmp_path)
    for context in (dataset.train, dataset.validation.context, dataset.test.context, dataset.complete):
        assert context.excluded.values.numel() == 0 and len(context.excluded) == len(context)
    assert rows(dataset.test.context.history) == [[0, 2], [0, 1, 2]]


def test_logs_with_order_alone_have_no_times(log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path) -> None:
    ordered = log.rename({"timestamp": "order"})
    dataset = prepare(source(ordered), LeaveOneOut(), k_core=0, root=tmp_path)
    assert dataset.same_day == {}
    assert rows(dataset.test.context.history) == [[0, 2], [0, 1, 2]]


def test_the_line_for_people(dataset: Dataset) -> None:
    assert dataset.describe() == (
        "frames: 3 users, 4 items, 8 of 8 events; 2 validation and 2 test requests;"
        " seen items are excluded from recommendations (0.00 % of the raw events repeat an earlier one)"
    )
