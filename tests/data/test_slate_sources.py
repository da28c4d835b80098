"""One log in five layouts: every reader gives the same slates, clicks and times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.sources.ebnerd import EbNerd
from recsys.data.sources.finn import Finn
from recsys.data.sources.kuairand import KuaiRand
from recsys.data.sources.mind import Mind
from recsys.data.sources.parquet import ParquetSlates
from recsys.data.sources.source import SlateSource

Row = tuple[int, int, list[int], list[int]]
"""User, time, slate, clicks."""

NO_POSITION = pl.List(pl.Int64)


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Slates by rising item with at most one click; no user has two slates at one time."""
    moments = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4000)), min_size=1, max_size=8, unique=True)
    rows = []
    for user, time in sorted(draw(moments)):
        slate = sorted(draw(st.lists(st.integers(3, 12), min_size=1, max_size=5, unique=True)))
        rows.append((user, time, slate, draw(st.lists(st.integers(0, len(slate) - 1), max_size=1))))
    return rows


def parquet(rows: list[Row], folder: Path) -> SlateSource:
    frame = pl.DataFrame(rows, ["user_id", "timestamp", "slate", "clicks"], orient="row").cast({"clicks": NO_POSITION})
    frame.with_row_index("request_id").reverse().write_parquet(folder / "impressions.parquet")
    return ParquetSlates(folder)


def ebnerd(rows: list[Row], folder: Path) -> SlateSource:
    frame = pl.DataFrame(
        {
            "impression_id": range(len(rows)),
            "user_id": [user for user, *_ in rows],
            "impression_time": [datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for _, time, *_ in rows],
            "article_ids_inview": [slate for *_, slate, _ in rows],
            "article_ids_clicked": [[slate[click] for click in clicks] for *_, slate, clicks in rows],
        },
        schema_overrides={"article_ids_clicked": NO_POSITION},
    )
    frame.reverse().write_parquet(folder / "behaviors.parquet")
    return EbNerd(folder / "behaviors.parquet")


def mind(rows: list[Row], folder: Path) -> SlateSource:
    lines = []
    for number, (user, time, slate, clicks) in enumerate(rows):
        when = datetime.fromtimestamp(time, UTC).strftime("%m/%d/%Y %I:%M:%S %p")
        shown = " ".join(f"N{item:02}-{int(slot in clicks)}" for slot, item in enumerate(slate))
        lines.append(f"{number}\tU{user}\t{when}\tN1\t{shown}\n")
    (folder / "behaviors.tsv").write_text("".join(reversed(lines)))
    return Mind(folder)


def kuairand(rows: list[Row], folder: Path) -> SlateSource:
    shown: list[dict[str, Any]] = [
        {"user_id": user, "video_id": item, "time_ms": 1000 * time, "is_click": int(slot in clicks)}
        for user, time, slate, clicks in rows
        for slot, item in enumerate(slate)
    ]
    pl.DataFrame(shown).reverse().write_csv(folder / "log_standard_4_22_to_5_08_pure.csv")
    return KuaiRand(folder)


def finn(rows: list[Row], folder: Path) -> SlateSource:
    users = sorted({user for user, *_ in rows})
    arrays = {name: np.zeros((len(users), 8), dtype=int) for name in ("click", "click_idx", "slate_lengths")}
    slates = np.zeros((len(users), 8, 7), dtype=int)
    steps = dict.fromkeys(users, 0)
    for user, _, slate, clicks in rows:
        at = (users.index(user), steps[user])
        slates[at][: len(slate) + 2] = [1, 2, *slate]  # an unpublished item before all others
        arrays["slate_lengths"][at] = len(slate) + 2
        arrays["click"][at] = slate[clicks[0]] if clicks else 1
        arrays["click_idx"][at] = clicks[0] + 2 if clicks else 0
        steps[user] += 1
    kind = np.ones((len(users), 8), dtype=int)
    np.savez(folder / "data.npz", userId=np.array(users), slate=slates, interaction_type=kind, **arrays)
    np.savez(folder / "itemattr.npz", category=np.zeros(13))
    return Finn(folder)


@pytest.mark.parametrize("write", [parquet, ebnerd, mind, kuairand, finn])
@settings(max_examples=30)
@given(rows=logs())
def test_every_layout_gives_the_same_log(write: Callable[[list[Row], Path], SlateSource], rows: list[Row]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write(rows, Path(folder))
        assert isinstance(source, SlateSource)
        log = prepare_slates(source)
    catalogue = sorted({item for _, _, slate, _ in rows for item in slate})
    assert log.slates.values.tolist() == [catalogue.index(item) for _, _, slate, _ in rows for item in slate]
    assert log.slates.lengths.tolist() == [len(slate) for _, _, slate, _ in rows]
    assert log.first_click().tolist() == [clicks[0] if clicks else -1 for *_, clicks in rows]
    assert torch.equal(log.clicks.lengths, (log.first_click() >= 0).long())
    users = sorted({user for user, *_ in rows})
    assert log.user_indices().tolist() == [users.index(user) for user, *_ in rows]
    assert log.times().tolist() == ([time for _, time, *_ in rows] if log.timed else log.steps().tolist())
    assert log.num_items == len(catalogue) and log.num_users == len(users)
