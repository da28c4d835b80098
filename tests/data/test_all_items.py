from __future__ import annotations

import torch

from recsys.data.all_items import all_items
from tests.slate_logs import slate_log, tiny_log

EVERY = torch.ones(10, dtype=torch.bool)


def test_a_click_stands_before_items_by_chance() -> None:
    log = tiny_log()
    changed, counts = all_items(log, EVERY, negatives=4, seed=1)
    clicked = log.first_click() >= 0
    assert torch.equal(counts, clicked)
    assert changed.slates.lengths.unique().tolist() == [5]
    assert torch.equal(changed.first_click(), torch.where(clicked, 0, -1))
    for row in clicked.nonzero().squeeze(1).tolist():
        shown = log.slates.values[log.slates.offsets[row] : log.slates.offsets[row + 1]]
        assert changed.slates.values[5 * row] == shown[log.first_click()[row]]
    assert torch.equal(changed.user_offsets, log.user_offsets) and changed.items is log.items


def test_what_did_not_count_does_not_count() -> None:
    counts = torch.arange(10) < 3
    assert torch.equal(all_items(tiny_log(), counts)[1], counts & (tiny_log().first_click() >= 0))


def test_all_items_are_drawn_alike_and_by_the_seed() -> None:
    log = slate_log([[[0]] * 500], [[0] * 500], list(range(8)))
    every = torch.ones(500, dtype=torch.bool)
    first, again, other = (all_items(log, every, 24, seed)[0] for seed in (0, 0, 1))
    assert torch.equal(first.slates.values, again.slates.values) and first.fingerprint == again.fingerprint
    assert not torch.equal(first.slates.values, other.slates.values) and first.fingerprint != other.fingerprint
    drawn = torch.bincount(first.slates.values.view(500, 25)[:, 1:].flatten(), minlength=8)
    assert ((drawn - 1500).abs() < 4.5 * (12_000 * 7 / 64) ** 0.5).all()
