from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.datasets.split import GlobalTime, LeaveOneOut
from recsys.errors import ConfigurationError, DataError
from recsys.types.jagged import Jagged

TIMES = st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=6).map(sorted), min_size=1, max_size=8)


@given(TIMES)
def test_leave_one_out_takes_the_last_two(times: list[list[int]]) -> None:
    events = Jagged.from_rows(times)
    splits = LeaveOneOut().split(events, None)
    ends = [end for end, row in zip(events.offsets[1:].tolist(), times, strict=True) if len(row) >= 3]
    assert splits.test.tolist() == [end - 1 for end in ends]
    assert splits.validation.tolist() == [end - 2 for end in ends]
    assert splits.train_lengths.tolist() == [len(row) - 2 if len(row) >= 3 else len(row) for row in times]


@given(TIMES, st.sampled_from([0.1, 0.3]), st.sampled_from([0.2, 0.5]))
def test_nothing_of_a_held_out_period_trains(times: list[list[int]], validation: float, test: float) -> None:
    events = Jagged.from_rows(times)
    flat = sorted(time for row in times for time in row)
    first, second = (flat[int(len(flat) * (1 - share))] for share in (validation + test, test))
    start = events.offsets[:-1].tolist()
    expected = {"validation": [], "test": []}
    for row, offset in zip(times, start, strict=True):
        for part, low, high in (("validation", first, second), ("test", second, 99)):
            inside = [position for position, time in enumerate(row) if low <= time < high]
            if inside and inside[0] > 0:
                expected[part].append(offset + inside[0])
    if not (expected["validation"] and expected["test"]):
        with pytest.raises(DataError, match="period holds no event"):
            GlobalTime(validation, test).split(events, events.values)
        return
    splits = GlobalTime(validation, test).split(events, events.values)
    assert splits.train_lengths.tolist() == [sum(time < first for time in row) for row in times]
    assert splits.validation.tolist() == expected["validation"]
    assert splits.test.tolist() == expected["test"]


def test_a_split_in_time_needs_times() -> None:
    with pytest.raises(DataError, match="only `order`"):
        GlobalTime().split(Jagged.from_rows([[1, 2]]), None)


@pytest.mark.parametrize(("validation", "test"), [(0.0, 0.1), (0.5, 0.5), (0.1, -0.1)])
def test_shares_are_checked(validation: float, test: float) -> None:
    with pytest.raises(ConfigurationError, match=r"expected above 0 and below 1|together below 1"):
        GlobalTime(validation, test)


def test_history_of_a_test_request_holds_the_validation_period() -> None:
    events = Jagged.from_rows([[0, 1, 2, 3]])
    splits = GlobalTime(0.25, 0.25).split(events, torch.tensor([1, 2, 3, 4]))
    assert (splits.train_lengths.tolist(), splits.validation.tolist(), splits.test.tolist()) == ([2], [2], [3])
