from __future__ import annotations

import torch

from recsys.metrics.novelty import novelty, self_information


def test_information_falls_with_popularity_and_stays_finite() -> None:
    information = self_information(torch.tensor([0, 1, 10, 1000]))
    assert information.isfinite().all()
    assert (information.diff() < 0).all()


def test_shares_behind_the_information_sum_to_one() -> None:
    assert torch.allclose(torch.exp2(-self_information(torch.randint(0, 50, (40,)))).sum(), torch.ones(()).double())


def test_missing_items_do_not_count() -> None:
    information = torch.tensor([1.0, 5.0])
    lists = torch.tensor([[0, 1], [1, -1], [-1, -1]])
    assert novelty(lists, information).tolist() == [3, 5, 0]
