from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from recsys.data.datasets import prepare as module
from recsys.data.datasets.dataset import Dataset
from recsys.data.datasets.prepare import Prepared, prepare
from recsys.data.datasets.split import GlobalTime, LeaveOneOut, Splits
from recsys.data.datasets.tie_breaking import TieByEvent
from recsys.errors import DataError
from recsys.types.context import Context
from recsys.types.example import Example

LOGS = st.lists(st.tuples(st.integers(0, 4), st.sampled_from("abcdef"), st.integers(0, 4)), min_size=1, max_size=40)


def rows(context: Context) -> list[list[int]]:
    return [part.tolist() for part in context.history.values.split(context.history.lengths.tolist())]


def assert_same(first: Dataset, second: Dataset) -> None:
    assert_frame_equal(first.items, second.items)
    assert_frame_equal(first.users, second.users)
    for part in ("train", "validation", "test", "complete"):
        a, b = getattr(first, part), getattr(second, part)
        if isinstance(a, Example):
            assert torch.equal(a.item, b.item)
            a, b = a.context, b.context
        for read in (lambda c: c.users, lambda c: c.history.values, lambda c: c.excluded.offsets):
            assert torch.equal(read(a), read(b))
    assert first.same_day.keys() == second.same_day.keys()
    assert all(torch.equal(same, second.same_day[part]) for part, same in first.same_day.items())
    assert (first.name, first.repeats, first.fingerprint, first.summary) == (
        second.name,
        second.repeats,
        second.fingerprint,
        second.summary,
    )


def test_the_second_call_reads_what_the_first_left(
    log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare(source(log), LeaveOneOut(), k_core=0, root=tmp_path)
    monkeypatch.setattr(module, "_prepare", lambda *_: pytest.fail("prepared again"))
    assert_same(first, prepare(source(log), LeaveOneOut(), k_core=0, root=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == [f"frames-{first.fingerprint[:16]}"]


OPTIONS: list[dict[str, Any]] = [
    {"split": GlobalTime(0.3, 0.3)},
    {"k_core": 1},
    {"repeats": True},
    {"repeat_threshold": 0.5},
    {"tie_breaking": TieByEvent()},
    {"seed": 1},
]


def test_every_option_and_the_source_have_their_own_folder(
    log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path
) -> None:
    base: dict[str, Any] = {"split": LeaveOneOut(), "k_core": 0, "root": tmp_path}
    prints = [prepare(source(log), **base).fingerprint, prepare(source(log, fingerprint="b"), **base).fingerprint]
    prints += [prepare(source(log), **{**base, **option}).fingerprint for option in OPTIONS]
    assert len(set(prints)) == len(prints) == len(list(tmp_path.iterdir()))


def test_a_failure_while_writing_leaves_nothing_behind(
    log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Prepared, folder: Path) -> None:
        (folder / "events.parquet").write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(Prepared, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        prepare(source(log), LeaveOneOut(), k_core=0, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_another_process_may_be_faster(
    log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Prepared.save

    def slow(self: Prepared, folder: Path) -> None:
        save(self, folder)
        other = tmp_path / f"frames-{self.fingerprint[:16]}"
        other.mkdir()
        save(self, other)

    monkeypatch.setattr(Prepared, "save", slow)
    dataset = prepare(source(log), LeaveOneOut(), k_core=0, root=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1 and dataset.num_users == 3


def test_whether_items_come_again_is_read_from_the_data(source: Callable[..., Any], tmp_path: Path) -> None:
    again = pl.DataFrame({"user_id": [1] * 4, "item_id": [5, 6, 7, 5], "timestamp": [1, 2, 3, 4]})
    read = prepare(source(again), LeaveOneOut(), k_core=0, root=tmp_path)
    assert read.repeats and rows(read.complete) == [[0, 1, 2, 0]] and read.summary["repeat_share"] == 0.25
    told = prepare(source(again), LeaveOneOut(), k_core=0, repeats=False, root=tmp_path)
    assert not told.repeats and rows(told.complete) == [[0, 1, 2]]
    lenient = prepare(source(again), LeaveOneOut(), k_core=0, repeat_threshold=0.25, root=tmp_path)
    assert not lenient.repeats


def test_features_join_and_are_counted(log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path) -> None:
    items = pl.DataFrame({"item_id": [7, 5, 99, 6], "title": ["seven", "five", "never seen", "six"]})
    items = items.cast({"item_id": pl.Int16})
    dataset = prepare(source(log, items), LeaveOneOut(), k_core=0, root=tmp_path)
    assert dataset.items.get_column("title").to_list() == ["five", "six", "seven", None]
    assert dataset.summary["items_without_events"] == 1 and dataset.summary["items_without_features"] == 1
    assert dataset.summary["validation_targets_without_training"] == 2
    assert dataset.summary["test_targets_without_training"] == 1


def test_datetimes_become_seconds(log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path) -> None:
    dated = log.with_columns(pl.from_epoch("timestamp"))
    dataset = prepare(source(dated), LeaveOneOut(), k_core=0, root=tmp_path)
    prepared = Prepared.load(tmp_path / f"frames-{dataset.fingerprint[:16]}")
    assert_same(dataset, prepared.dataset())
    expected = log.sort("user_id", "timestamp")["timestamp"].to_list()
    assert prepared.events["timestamp"].to_list() == expected and max(expected) < 1_000_000


def test_nothing_left_after_the_core(log: pl.DataFrame, source: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"k_core=5 leaves none of 8 events: 3 of 3 users and 4 of 4 items have fewer"):
        prepare(source(log), LeaveOneOut(), root=tmp_path)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30)
@given(log=LOGS, repeats=st.booleans(), shuffle=st.randoms(use_true_random=False))
def test_what_goes_in_comes_out(
    log: list, repeats: bool, shuffle: Any, source: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Every user's events, whole and in order, whatever the order of rows; requests are cuts of them."""
    shuffled = list(log)
    shuffle.shuffle(shuffled)
    roots = [tmp_path_factory.mktemp("prepared") for _ in range(2)]
    datasets = [
        prepare(
            source(pl.DataFrame(events, schema=["user_id", "item_id", "timestamp"], orient="row")),
            LeaveOneOut(),
            k_core=0,
            repeats=repeats,
            root=root,
        )
        for events, root in zip((log, shuffled), roots, strict=True)
    ]
    assert_same(*datasets)
    dataset = datasets[0]
    raw = dataset.items.get_column("item_id").to_list()
    assert raw == sorted({item for _, item, _ in log})
    expected = set(log) if repeats else {(u, i, min(t for v, j, t in log if (v, j) == (u, i))) for u, i, _ in log}
    times = Prepared.load(next(roots[0].iterdir())).events["timestamp"].to_list()
    got = [
        (int(user), raw[item], time)
        for user, item, time in zip(
            dataset.users.get_column("user_id").gather(dataset.complete.history.row_ids().numpy()).to_list(),
            dataset.complete.history.values.tolist(),
            times,
            strict=True,
        )
    ]
    assert sorted(got) == sorted(expected)
    assert [(user, time) for user, _, time in got] == sorted((user, time) for user, _, time in expected)
    if len(dataset.test):
        legal = ~dataset.test.context.illegal(dataset.num_items)
        assert legal[torch.arange(len(dataset.test)), dataset.test.item].all()


def test_load_gives_what_was_saved(tmp_path: Path) -> None:
    prepared = Prepared(
        name="tiny",
        events=pl.DataFrame({"user": [0, 0, 0, 1], "item": [1, 0, 2, 2]}).cast(pl.UInt32),
        items=pl.DataFrame({"item": [0, 1, 2], "item_id": ["a", "b", "c"], "tags": [["x"], [], None]}),
        users=pl.DataFrame({"user": [0, 1], "user_id": [7, 9]}),
        splits=Splits(torch.tensor([1, 1]), torch.tensor([1]), torch.tensor([2])),
        repeats=False,
        fingerprint="f",
        summary={"events": 4, "repeat_share": 0.0},
    )
    prepared.save(tmp_path)
    loaded = Prepared.load(tmp_path)
    for table in ("events", "items", "users"):
        assert getattr(loaded, table).equals(getattr(prepared, table))
    for part in ("train_lengths", "validation", "test"):
        assert torch.equal(getattr(loaded.splits, part), getattr(prepared.splits, part))
    assert (loaded.name, loaded.repeats, loaded.fingerprint, loaded.summary) == ("tiny", False, "f", prepared.summary)
    dataset = loaded.dataset()
    assert dataset.test.context.history.values.tolist() == [1, 0]
    assert dataset.items.get_column("interactions").to_list() == [0, 1, 1]
