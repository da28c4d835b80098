from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit, split_slates_by_steps, split_slates_by_time
from recsys.errors import ConfigurationError, DataError
from recsys.types.jagged import Jagged


def log(times: Sequence[Sequence[int]]) -> SlateLog:
    """A row of times for each user; each slate is one item that nobody clicks."""
    flat = [time for row in times for time in row]
    return SlateLog(
        name="hand-made",
        items=pl.DataFrame({"item": [0], "item_id": [0], "group": [0]}),
        users=pl.DataFrame({"user": range(len(times))}),
        requests=pl.DataFrame({"timestamp": flat}),
        user_offsets=Jagged.from_rows(times).offsets,
        slates=Jagged.from_rows([[0]] * len(flat)),
        clicks=Jagged.empty(len(flat)),
        timed=True,
        displayed=True,
        fingerprint="f",
        summary={},
    )


def parts(split: SlateSplit) -> list[int]:
    """The part of each impression: 0 trains, 1 validates, 2 tests; fails where one is in none or in two."""
    masks = torch.stack([split.train, split.validation, split.test]).long()
    assert masks.sum(0).eq(1).all()
    return masks.argmax(0).tolist()


def test_two_cuts_in_time() -> None:
    split = split_slates_by_time(log([[10, 20, 60, 80], [15, 90, 90, 95, 99, 99]]), validation=0.3, test=0.2)
    assert parts(split) == [0, 0, 0, 0, 0, 1, 1, 1, 2, 2]


@given(st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=6).map(sorted), min_size=4, max_size=8))
def test_nothing_trains_after_what_is_evaluated(times: list[list[int]]) -> None:
    hand_made = log(times)
    try:
        split = split_slates_by_time(hand_made, 0.3, 0.3)
    except DataError:
        return
    parts(split)
    when = hand_made.times()
    assert when[split.train].max() < when[split.validation].min()
    assert when[split.validation].max() < when[split.test].min()


def test_a_split_in_time_needs_times() -> None:
    with pytest.raises(DataError, match=r"no times. Use split=slate_users"):
        split_slates_by_time(replace(log([[1, 2, 3]]), timed=False))


def test_a_period_without_slates() -> None:
    with pytest.raises(DataError, match="train period of hand-made is empty"):
        split_slates_by_time(log([[5] * 10]))
    with pytest.raises(DataError, match="validation period of hand-made is empty"):
        split_slates_by_time(log([[1, 1, *[5] * 8]]), 0.4, 0.3)


def test_held_out_users_train_with_their_first_steps(generator: torch.Generator) -> None:
    hand_made = log([range(4)] * 10)
    split = split_slates_by_steps(hand_made, steps=3, validation=0.1, test=0.2)
    assert parts(split).count(1) == 1 and parts(split).count(2) == 2
    assert set(hand_made.steps()[split.validation | split.test].tolist()) == {3}


def test_the_users_are_those_of_the_published_split() -> None:
    hand_made = log([range(2)] * 40)
    torch.manual_seed(0)
    order = torch.randperm(40)
    split = split_slates_by_steps(hand_made, steps=1, validation=0.05, test=0.1)
    assert hand_made.user_indices()[split.validation].tolist() == sorted(order[:2].tolist())
    assert hand_made.user_indices()[split.test].tolist() == sorted(order[2:6].tolist())


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.integers(0, 7), st.integers(0, 3))
def test_every_impression_is_in_one_part(lengths: list[int], steps: int, seed: int) -> None:
    hand_made = log([range(length) for length in lengths])
    split = split_slates_by_steps(hand_made, steps, validation=0.4, test=0.5, seed=seed)
    parts(split)
    held_out = split.validation | split.test
    assert not held_out[hand_made.steps() < steps].any()
    users = hand_made.user_indices()
    assert not set(users[split.validation].tolist()) & set(users[split.test].tolist())
    for user in set(users[held_out].tolist()):
        assert held_out[(users == user) & (hand_made.steps() >= steps)].all()


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.1), (0.5, 0.5), (0.1, 1.0)])
def test_shares_are_checked(validation: float, test: float, generator: torch.Generator) -> None:
    with pytest.raises(ConfigurationError, match=r"validation=-0\.1: expected|test=1\.0: expected|together below 1"):
        split_slates_by_steps(log([[1]]), validation=validation, test=test)
    with pytest.raises(ConfigurationError, match=r"validation=-0\.1: expected|test=1\.0: expected|together below 1"):
        split_slates_by_time(log([[1]]), validation, test)


def test_values_that_would_leave_nothing_to_split(generator: torch.Generator) -> None:
    with pytest.raises(ConfigurationError, match=r"validation=0\.0: expected above 0 and below 1"):
        split_slates_by_time(log([[1, 2]]), 0.0, 0.5)
    with pytest.raises(ConfigurationError, match="steps=-1"):
        split_slates_by_steps(log([[1]]), steps=-1)
