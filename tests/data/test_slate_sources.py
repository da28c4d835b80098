"""One log in five layouts: every reader gives the same slates, clicks and times."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.sources.source import SlateSource
from tests.layouts import Row, ebnerd, finn, kuairand, mind, parquet_slates


@st.composite
def logs(draw: st.DrawFn) -> list[Row]:
    """Slates by rising item with at most one click; no user has two slates at one time."""
    moments = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4000)), min_size=1, max_size=8, unique=True)
    rows = []
    for user, time in sorted(draw(moments)):
        slate = sorted(draw(st.lists(st.integers(3, 12), min_size=1, max_size=5, unique=True)))
        rows.append((user, time, slate, draw(st.lists(st.integers(0, len(slate) - 1), max_size=1))))
    return rows


@pytest.mark.parametrize("write", [parquet_slates, ebnerd, mind, kuairand, finn])
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
