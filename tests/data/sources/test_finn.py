from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.sources import finn
from recsys.data.sources.finn import Finn
from recsys.data.sources.source import SlateSource
from recsys.errors import DataError

OLD_NAMES = {"slate": "action", "slate_lengths": "lengths", "interaction_type": "displayType"}

STEPS: list[list[tuple[list[int], int, int, int]]] = [
    [
        ([1, 7, 5, 9, 0], 5, 2, 1),  # a click on 5
        ([1, 2, 7, 2, 9], 9, 4, 2),  # unpublished items before the click on 9
        ([1, 5, 6, 0, 0], 1, 0, 0),  # no click
        ([0, 0, 0, 0, 0], 0, 0, 0),  # padding: the user has three steps
    ],
    [
        ([1, 4, 4, 6, 4], 6, 3, 1),  # item 4 three times before and after the click on 6
        ([1, 2, 4, 0, 0], 2, 1, 1),  # a click on an unpublished item
        ([1, 4, 5, 6, 7], 8, 0, 1),  # a click behind the last published slot
        ([1, 4, 5, 0, 0], 0, 0, 1),  # a click on padding
    ],
    [
        ([1, 2, 2, 0, 0], 1, 0, 2),  # nothing but unpublished items
        ([1, 7, 0, 0, 0], 7, 1, 2),
        ([0, 0, 0, 0, 0], 0, 0, 0),
        ([0, 0, 0, 0, 0], 0, 0, 0),
    ],
]
"""Of three users: slate, click, index of the click, type."""


def arrays(steps: list[list[tuple[list[int], int, int, int]]] = STEPS) -> dict[str, Any]:
    slate, click, index, kind = (np.array([[step[part] for step in row] for row in steps]) for part in range(4))
    return {
        "userId": np.array([30, 10, 20])[: len(steps)],
        "click": click,
        "click_idx": index,
        "slate_lengths": (slate != 0).sum(-1) + (click == 8),  # the slate with the click behind was cut
        "slate": slate,
        "interaction_type": kind,
    }


def write(folder: Path, **changes: Any) -> Path:
    folder.mkdir(exist_ok=True)
    stored = {name: array for name, array in {**arrays(), **changes}.items() if array is not None}
    np.savez_compressed(folder / "data.npz", **stored)
    np.savez_compressed(folder / "itemattr.npz", category=np.array([0, 1, 2, 11, 12, 11, 12, 13, 14.0]))
    return folder


KEPT = [
    (0, 30, 0, [7, 5, 9], [1], "search"),
    (1, 30, 1, [7, 9], [1], "recommendation"),
    (2, 30, 2, [5, 6], [], None),
    (4, 10, 0, [4, 6], [1], "search"),
    (9, 20, 1, [7], [0], "recommendation"),
]
DROPPED = {"impressions_with_unknown_click": 3, "impressions_without_items": 1, "repeated_slots": 2}


@pytest.mark.parametrize("block", [1, 2, 100])
@pytest.mark.parametrize("names", [{}, OLD_NAMES], ids=["new names", "old names"])
@pytest.mark.parametrize("kind", [np.int32, np.int64])
def test_slates_lose_what_is_no_item_and_clicks_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, names: dict[str, str], kind: Any
) -> None:
    monkeypatch.setattr(finn, "BLOCK", block)
    stored = {names.get(name, name): array.astype(kind) for name, array in arrays().items()}
    folder = write(tmp_path, **(dict.fromkeys(OLD_NAMES) if names else {}), **stored)
    tables = Finn(folder).slates()
    rows = tables.impressions.select("request_id", "user_id", "timestamp", "slate", "clicks", "source").collect()
    assert rows.rows() == KEPT
    assert tables.dropped == DROPPED
    assert tables.displayed and not tables.timed


def test_items_have_the_published_groups(tmp_path: Path) -> None:
    source = Finn(write(tmp_path))
    assert isinstance(source, SlateSource)
    log = prepare_slates(source)
    assert log.items.get_column("item_id").to_list() == [4, 5, 6, 7, 9]
    assert log.items.get_column("group_name").to_list() == [12, 11, 12, 13, None]  # 9 is behind the categories
    assert log.items.get_column("group").to_list() == [1, 0, 1, 2, 3]
    assert log.users.get_column("user_id").to_list() == [10, 20, 30]
    assert log.slates.values[log.slates.offsets[:-1] + log.first_click()].tolist()[:2] == [2, 3]
    assert log.summary["without_click"] == 1 and log.summary["impressions_with_unknown_click"] == 3


def test_the_first_users_alone(tmp_path: Path) -> None:
    tables = Finn(write(tmp_path), users=2).slates()
    assert tables.impressions.collect().get_column("request_id").to_list() == [0, 1, 2, 4]
    assert tables.dropped == {**DROPPED, "impressions_without_items": 0}
    assert tables.fingerprint != Finn(tmp_path).slates().fingerprint


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    first = Finn(write(tmp_path / "a")).slates().fingerprint
    assert Finn(write(tmp_path / "b")).slates().fingerprint == first
    assert Finn(write(tmp_path / "b", userId=np.array([30, 10, 21]))).slates().fingerprint != first


def test_where_the_files_are_when_they_are_not_here(tmp_path: Path) -> None:
    home = "huggingface.co/datasets/simeneide/recsys_slates_dataset"
    with pytest.raises(DataError, match=rf"data.npz, .*itemattr.npz: no such file; .* {home} into") as caught:
        Finn(tmp_path).slates()
    assert str(tmp_path) in str(caught.value)
    (write(tmp_path) / "itemattr.npz").unlink()
    with pytest.raises(DataError, match=r"^[^,]*itemattr.npz: no such file"):
        Finn(tmp_path).slates()


def changed(user: int, step: int, slate: list[int], click: int, index: int) -> dict[str, Any]:
    steps = [list(row) for row in STEPS]
    steps[user][step] = (slate, click, index, 1)
    return arrays(steps)


MALFORMED = {
    "array missing": ({"click_idx": None}, "array 'click_idx' is missing; found userId, click, slate_lengths"),
    "type": ({"click": np.zeros((3, 4))}, "array 'click' holds float64, expected integers"),
    "shape": ({"click": np.zeros((3, 5), dtype=int)}, r"array 'click' has shape \(3, 5\), expected \(3, 4\)"),
    "flat": ({"slate": np.zeros((3, 4), dtype=int)}, r"array 'slate' has shape \(3, 4\), expected users × steps"),
    "user twice": ({"userId": np.array([30, 10, 30])}, "array 'userId' names a user twice"),
    "no slot 0": (changed(1, 2, [4, 5, 0, 0, 0], 5, 1), "user row 1, step 2 .* slot 0 of the slate is not 1"),
    "index too large": (changed(2, 0, [1, 4, 0, 0, 0], 4, 5), r"user row 2, step 0 .* index is not in 0 … 4"),
    "another item": (changed(0, 1, [1, 4, 5, 0, 0], 5, 1), "user row 0, step 1 .* does not hold the click"),
    "no click at an item": (changed(0, 1, [1, 4, 5, 0, 0], 1, 1), "user row 0, step 1 .* does not hold the click"),
}


@pytest.mark.parametrize("block", [1, 100])
@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_arrays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int, changes: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(finn, "BLOCK", block)
    with pytest.raises(DataError, match=message) as caught:
        Finn(write(tmp_path, **changes)).slates()
    assert str(tmp_path / "data.npz") in str(caught.value)


def test_a_log_without_any_slate(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no step has both a known click and an item"):
        Finn(write(tmp_path, slate_lengths=np.zeros((3, 4), dtype=int))).slates()


def test_a_truncated_file(tmp_path: Path) -> None:
    data = write(tmp_path) / "data.npz"
    data.write_bytes(data.read_bytes()[:200])
    with pytest.raises(DataError, match=r"data.npz cannot be read: .* damaged or truncated"):
        Finn(tmp_path).slates()


def test_attributes_without_categories(tmp_path: Path) -> None:
    np.savez(write(tmp_path) / "itemattr.npz", actions=np.zeros(4))
    with pytest.raises(DataError, match=r"itemattr.npz: array 'category' is missing; found actions"):
        Finn(tmp_path).slates()


def test_slates_are_those_of_a_plain_reading(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    slate = draw.integers(2, 40, (50, 4, 9))
    slate[:, :, 0] = 1
    index = draw.integers(0, 9, (50, 4))
    click = np.take_along_axis(slate, index[..., None], -1)[..., 0]
    lengths = np.full((50, 4), 9)
    kind = np.ones((50, 4), dtype=int)
    changes = {"userId": np.arange(50), "slate": slate, "click": click, "click_idx": index}
    tables = Finn(write(tmp_path, **changes, slate_lengths=lengths, interaction_type=kind)).slates()
    expected = []
    for items, chosen in zip(slate.reshape(-1, 9).tolist(), click.ravel().tolist(), strict=True):
        shown = list(dict.fromkeys(item for item in items if item >= 3))
        if chosen != 2 and shown:
            expected.append((shown, [shown.index(chosen)] if chosen != 1 else []))
    assert len(expected) > 150
    assert tables.impressions.select("slate", "clicks").collect().rows() == expected
    assert tables.impressions.collect().select(pl.col("request_id").is_sorted()).item()
