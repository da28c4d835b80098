from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import DataError

GOOD: dict[str, list[Any]] = {
    "slate": [["c", "a"], ["b"]],
    "rewards": [[1.0, 0.0], [2.0]],
    "request_id": ["r", "q"],
}
LISTS = [[0.5, 0.25], [0.5]]


def write(folder: Path, **changes: Any) -> Path:
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    path = folder / "feedback.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def read(path: Path, **options: Any) -> SlateFeedbackLog:
    log = ParquetFeedback(path, **options).log()
    assert isinstance(log, SlateFeedbackLog)
    return log


def test_slates_are_read_flush_left(tmp_path: Path) -> None:
    log = read(write(tmp_path, propensity=[0.125, 0.5], prefix_propensities=LISTS, slot_propensities=LISTS))
    assert (len(log), log.num_items, log.slots) == (2, 3, 2)
    assert log.summary == {"rounds": 2, "items": 3}
    [batch] = log.batches()
    assert batch.items.tolist() == [[2, 0], [1, -1]] and batch.by_slot
    assert batch.reward.tolist() == [[1.0, 0.0], [2.0, 0.0]]
    assert batch.propensity is not None and batch.propensity.tolist() == [0.125, 0.5]
    assert batch.prefix is not None and batch.prefix.tolist() == [[0.5, 0.25], [0.5, 1.0]]
    assert batch.slot is not None and batch.slot.tolist() == [[0.5, 0.25], [0.5, 1.0]]
    assert batch.user is None and batch.context is None
    assert log.requests().collect().row(0) == ("r", ["c", "a"])
    assert [part.items.tolist() for part in log.batches(1)] == [[[2, 0]], [[1, -1]]]


def test_a_slates_propensity_is_the_product_of_its_prefixes(tmp_path: Path) -> None:
    [batch] = read(write(tmp_path, prefix_propensities=LISTS)).batches()
    assert batch.propensity is not None and batch.propensity.tolist() == [0.125, 0.5]
    [batch] = read(write(tmp_path, slot_propensities=LISTS)).batches()
    assert batch.propensity is None and batch.prefix is None


def test_one_reward_a_slate_stands_in_the_first_slot(tmp_path: Path) -> None:
    [batch] = read(write(tmp_path, rewards=None, reward=[3.0, 4.0])).batches()
    assert batch.reward.tolist() == [[3.0, 0.0], [4.0, 0.0]] and not batch.by_slot


def test_users_contexts_and_candidates_are_what_a_policy_sees(tmp_path: Path) -> None:
    log = read(write(tmp_path, user_id=[9, 4], context=[[1.0], [2.0]], candidates=[["a", "c"], ["b", "d"]]))
    [batch] = log.batches()
    assert batch.user is not None and batch.user.tolist() == [1, 0]
    assert log.items["item_id"].to_list() == ["a", "b", "c", "d"]
    assert batch.context is not None and batch.context.candidates is not None
    assert batch.context.candidates.mask(4).tolist() == [[True, False, True, False], [False, True, False, True]]
    assert batch.context.features["context"].tolist() == [[1.0], [2.0]]


NO_PROPENSITY = r"is no propensity, expected a probability in \(0, 1\]"
MALFORMED = {
    "item twice": ({"slate": [["c", "c"], ["b"]]}, r"row 0 .*'slate': \['c', 'c'\] holds an item twice"),
    "null slot": ({"slate": [["c", None], ["b"]]}, r"row 0 .*'slate': \['c', None\] holds a null, expected an id in"),
    "null slate": ({"slate": [["c", "a"], None]}, r"row 1 .*'slate': None is null"),
    "empty slate": ({"slate": [["c", "a"], []], "rewards": [[1, 0], []]}, r"row 1 .*'slate': \[\] is an empty slate"),
    "too few rewards": ({"rewards": [[1.0], [1.0]]}, r"row 0 .*'rewards': \[1.0\] has not one reward for each slot"),
    "null rewards": ({"rewards": [[1.0, 1.0], None]}, r"row 1 .*'rewards': None has not one reward"),
    "reward text": ({"rewards": [["1", "0"], ["0"]]}, r"'rewards' .* holds List\(String\), expected lists of numbers"),
    "reward NaN": ({"rewards": [[1.0, float("nan")], [0.0]]}, r"row 0 .*'rewards': .* holds what is no reward"),
    "reward null": ({"rewards": [[1, 0], [None]]}, r"row 1 .*'rewards': \[None\] holds what is no reward"),
    "infinite": ({"rewards": None, "reward": [0.0, float("inf")]}, r"row 1 .*'reward': inf is no reward"),
    "no reward": ({"rewards": None}, "table 'feedback' needs a column 'rewards' or 'reward'"),
    "prefix 0": ({"prefix_propensities": [[0.5, 0.0], [1.0]]}, f"row 0 .*'prefix_propensities': .* {NO_PROPENSITY}"),
    "slot above 1": ({"slot_propensities": [[0.5, 1], [1.5]]}, f"row 1 .*'slot_propensities': .* {NO_PROPENSITY}"),
    "whole NaN": ({"propensity": [float("nan"), 0.5]}, f"row 0 .*'propensity': nan {NO_PROPENSITY}"),
    "lengths": (
        {"prefix_propensities": [[0.5], [1.0]]},
        r"row 0 .*'prefix_propensities': .* has another length",
    ),
    "product": (
        {"prefix_propensities": LISTS, "propensity": [0.125, 0.6]},
        r"row 1 .*'propensity': 0.6 is not the product of prefix_propensities",
    ),
    "not offered": ({"candidates": [["a", "b"], ["b"]]}, r"row 0 .*'slate': \['c', 'a'\] holds an item outside"),
    "twice": ({"request_id": ["q", "q"]}, r"row 1 .*'request_id': q stands in the table twice"),
}


@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_bad_slates_are_refused_with_file_row_and_reason(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read(path)
    assert str(path) in str(caught.value)


def test_items_outside_the_table_of_items(tmp_path: Path) -> None:
    items = tmp_path / "items.parquet"
    pl.DataFrame({"action": ["a", "b"]}).write_parquet(items)
    with pytest.raises(DataError, match=r"row 0 .*'slate': \['c', 'a'\] holds an item outside the support"):
        read(write(tmp_path), actions=items)


def test_repeats_are_allowed_where_they_are_asked_for(tmp_path: Path) -> None:
    [batch] = read(write(tmp_path, slate=[["c", "c"], ["b"]]), repeats=True).batches()
    assert batch.items.tolist() == [[1, 1], [0, -1]]


def test_bad_slates_are_excluded_and_counted(tmp_path: Path) -> None:
    log = read(write(tmp_path, slate=[["c", "c"], ["b"]]), exclude=True)
    assert log.summary == {"rounds": 1, "items": 1, "slate holds an item twice": 1}
    assert [batch.items.tolist() for batch in log.batches()] == [[[0]]]
