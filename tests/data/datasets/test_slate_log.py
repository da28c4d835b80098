from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest
import torch

from recsys.data.datasets.slate_log import SlateLog, all_item_negatives
from recsys.types.jagged import Jagged
from tests.slate_logs import slate_log, tiny_log

EVERY = torch.ones(10, dtype=torch.bool)


def test_a_click_stands_before_items_by_chance() -> None:
    log = tiny_log()
    changed, loss_mask = all_item_negatives(log, EVERY, negatives=4, seed=1)
    clicked = log.first_click() >= 0
    assert torch.equal(loss_mask, clicked)
    assert changed.slates.lengths.unique().tolist() == [5]
    assert torch.equal(changed.first_click(), torch.where(clicked, 0, -1))
    for row in clicked.nonzero().squeeze(1).tolist():
        shown = log.slates.values[log.slates.offsets[row] : log.slates.offsets[row + 1]]
        assert changed.slates.values[5 * row] == shown[log.first_click()[row]]
    assert torch.equal(changed.user_offsets, log.user_offsets) and changed.items is log.items


def test_what_did_not_count_does_not_count() -> None:
    loss_mask = torch.arange(10) < 3
    assert torch.equal(all_item_negatives(tiny_log(), loss_mask)[1], loss_mask & (tiny_log().first_click() >= 0))


def test_all_items_are_drawn_alike_and_by_the_seed() -> None:
    log = slate_log([[[0]] * 500], [[0] * 500], list(range(8)))
    every = torch.ones(500, dtype=torch.bool)
    first, again, other = (all_item_negatives(log, every, 24, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.slates.values, again.slates.values) and first.fingerprint == again.fingerprint
    assert not torch.equal(first.slates.values, other.slates.values) and first.fingerprint != other.fingerprint
    drawn = torch.bincount(first.slates.values.view(500, 25)[:, 1:].flatten(), minlength=8)
    assert ((drawn - 1500).abs() < 4.5 * (12_000 * 7 / 64) ** 0.5).all()


def log(clicks: Sequence[Sequence[int]], users: Sequence[int]) -> SlateLog:
    """`users[u]` impressions of user u, each a slate of four items."""
    rows = sum(users)
    return SlateLog(
        name="hand-made",
        items=pl.DataFrame({"item": range(4), "item_id": list("abcd"), "group": [0, 1, 1, 0]}),
        users=pl.DataFrame({"user": range(len(users)), "user_id": range(len(users))}),
        requests=pl.DataFrame({"request_id": range(rows), "timestamp": range(rows), "source": ["search"] * rows}),
        user_offsets=Jagged.from_lengths(torch.zeros(rows), torch.tensor(users)).offsets,
        slates=Jagged.from_rows([[0, 1, 2, 3]] * rows),
        clicks=Jagged.from_rows(clicks),
        timed=True,
        displayed=True,
        fingerprint="f",
        summary={"users": len(users), "items": 4, "impressions": rows, "clicks": 3, "without_click": 2},
    )


def test_first_click_is_the_first_that_is_listed() -> None:
    assert log([[3, 1], [], [0], []], [4]).first_click().tolist() == [3, -1, 0, -1]


def test_first_click_of_a_log_without_clicks() -> None:
    assert log([[], []], [2]).first_click().tolist() == [-1, -1]


def test_users_and_steps_of_impressions() -> None:
    hand_made = log([[]] * 5, [2, 0, 3])
    assert hand_made.user_indices().tolist() == [0, 0, 2, 2, 2]
    assert hand_made.steps().tolist() == [0, 1, 0, 1, 2]
    assert hand_made.by_user().select(torch.tensor([2, 1])).values.tolist() == [2, 3, 4]


def test_sizes() -> None:
    hand_made = log([[]] * 5, [2, 0, 3])
    assert (len(hand_made), hand_made.num_users, hand_made.num_items, hand_made.num_groups) == (5, 3, 4, 2)
    assert hand_made.times().tolist() == [0, 1, 2, 3, 4]
    assert "5 slates, 3 clicks, 40.0% of the slates without one; dropped: nothing" in hand_made.describe()


def test_shapes_are_checked_at_run_time() -> None:
    with pytest.raises(Exception, match="user_offsets"):
        SlateLog(**{**vars(log([[]], [1])), "user_offsets": torch.tensor([0.0, 1.0])})
