from __future__ import annotations

import numpy as np

from recsys.data.datasets.tie_breaking import TieByEvent, TieByItem, event_hash


def test_known_numbers() -> None:
    """SplitMix64 from state 0 gives 0xe220a8397b1dcdaf first; both rounds of the mix are that finaliser."""
    golden = 0x9E3779B97F4A7C15
    first = event_hash(np.array([1]), np.array([0]), 0)
    assert int(first[0]) == finalise(finalise(golden))
    assert finalise(golden) == 0xE220A8397B1DCDAF
    assert int(event_hash(np.array([3]), np.array([7]), 5)[0]) == finalise(
        (finalise((3 * golden + 5) % 2**64) + 7) % 2**64
    )


def finalise(state: int) -> int:
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return state ^ (state >> 31)


def test_by_item_orders_items_alike_for_all_users_and_by_event_does_not() -> None:
    items = np.arange(50)
    orders = {
        rule: [tuple(rule.key(np.full(50, user), items, 0).argsort()) for user in range(3)]
        for rule in (TieByItem(), TieByEvent())
    }
    assert len(set(orders[TieByItem()])) == 1
    assert len(set(orders[TieByEvent()])) == 3
    assert tuple(TieByItem().key(items, items, 1).argsort()) != orders[TieByItem()][0]


def test_either_of_two_events_comes_first_half_of_the_time() -> None:
    users = np.arange(4000)
    first = TieByEvent().key(users, np.zeros_like(users), 0) < TieByEvent().key(users, np.ones_like(users), 0)
    assert abs(first.mean() - 0.5) < 0.03
