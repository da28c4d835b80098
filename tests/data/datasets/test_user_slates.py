from __future__ import annotations

import pytest
import torch

from recsys.data.datasets.user_slates import SlateBuffer
from recsys.errors import DataError


def told(*rounds: tuple[list[int], list[list[int]], list[int]]) -> SlateBuffer:
    memory = SlateBuffer(num_items=6, slots=3)
    for users, items, click in rounds:
        memory.add(torch.tensor(users), torch.tensor(items), torch.tensor(click))
    return memory


def test_slates_lie_by_user_oldest_first() -> None:
    memory = told(([1, 0], [[3, 4], [0, -1]], [1, -1]), ([1], [[5, 0]], [0]), ([4], [[2, 1]], [-1]))
    batch = memory.select(torch.tensor([1, 4, 0]))
    assert batch.slates.tolist() == [
        [[3, 4, -1], [5, 0, -1]],
        [[2, 1, -1], [-1, -1, -1]],
        [[0, -1, -1], [-1, -1, -1]],
    ]
    assert batch.click.tolist() == [[1, 0], [-1, -1], [-1, -1]]
    assert batch.loss_mask.tolist() == [[True, True], [True, False], [True, False]]


def test_exposure_counts_every_slot_that_shows_something() -> None:
    memory = told(([0, 1], [[0, 1, 2], [1, -1, -1]], [0, 0]), ([0, 1], [[1, 5, -1], [-1, -1, -1]], [-1, -1]))
    assert memory.exposure.occurrences.tolist() == [1, 3, 1, 0, 0, 1]
    assert memory.exposure.impressions == 3


def test_it_grows_and_forgets_nothing() -> None:
    memory = SlateBuffer(num_items=1000, slots=2)
    expected: dict[int, list[list[int]]] = {}
    generator = torch.Generator().manual_seed(0)
    for step in range(40):
        users = torch.randperm(5 + step, generator=generator)[:4]
        items = torch.randint(1000, (4, 2), generator=generator)
        memory.add(users, items, items[:, 0] % 2)
        for user, slate in zip(users.tolist(), items.tolist(), strict=True):
            expected.setdefault(user, []).append(slate)
    for user, slates in expected.items():
        batch = memory.select(torch.tensor([user]))
        assert batch.slates[0].tolist() == slates
        assert batch.click[0].tolist() == [slate[0] % 2 for slate in slates]
    assert memory.exposure.impressions == 160


def test_an_epoch_has_everybody_who_saw_something_once() -> None:
    rounds = [([0, 1, 2, 5, 6], [[0], [1], [2], [3], [-1]], [0, 0, 0, 0, -1])]
    memory = told(*rounds)
    orders = set()
    for seed in range(5):
        batches = list(memory.epoch(3, torch.Generator().manual_seed(seed)))
        assert [len(batch) for batch in batches] == [3, 1] and memory.num_batches(3) == 2
        order = [int(item) for batch in batches for item in batch.slates[:, 0, 0]]
        assert sorted(order) == [0, 1, 2, 3]
        orders.add(tuple(order))
    assert len(orders) > 1


def test_a_user_has_one_slate_at_a_time() -> None:
    with pytest.raises(DataError, match="twice"):
        told(([3, 3], [[0, 1], [2, 4]], [0, 0]))


def test_nothing_shown_is_nothing_kept() -> None:
    memory = told(([0, 1], [[-1, -1], [-1, -1]], [-1, -1]))
    assert memory.exposure.impressions == 0
    assert list(memory.epoch(2, torch.Generator())) == []
