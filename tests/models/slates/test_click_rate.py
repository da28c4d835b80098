from __future__ import annotations

import torch

from recsys.models.slates.click_rate import ClickRateModel
from tests.slate_logs import slate_log, tiny_log

EVERY = torch.ones(10, dtype=torch.bool)
SLATES = torch.tensor([[[0, 1, 2], [4, -1, -1], [-1, -1, -1]]])


def test_answers_together_are_certain() -> None:
    for make in (ClickRateModel.uniform, ClickRateModel.popularity):
        probability = make(tiny_log(), EVERY).choices(SLATES).exp()
        torch.testing.assert_close(probability.sum(-1), torch.ones(1, 3))
        assert probability[0, 2].tolist() == [0, 0, 0, 1]
        assert not probability[0, 1, 1:3].any()


def test_uniform_items_are_alike() -> None:
    probability = ClickRateModel.uniform(tiny_log(), EVERY).choices(SLATES).exp()[0, 0]
    torch.testing.assert_close(probability[:3], probability[:1].expand(3))


def test_the_share_without_a_click_is_that_of_the_length() -> None:
    log = slate_log([[[0]] * 99, [[0, 1]] * 99], [[-1] * 99, [0] * 99], [0, 0])
    none = ClickRateModel.uniform(log, torch.ones(198, dtype=torch.bool)).no_click
    assert none[0] > 0.98 and none[1] < 0.02


def test_popularity_is_clicks_a_showing_of_what_counts() -> None:
    log = slate_log([[[0, 1]] * 100, [[1, 2]] * 100], [[0] * 75 + [1] * 25, [0] * 100], [0, 0, 0])
    rate = ClickRateModel.popularity(log, torch.arange(200) < 100).rate
    mean = 101 / 201
    torch.testing.assert_close(rate, torch.tensor([75 + mean, 25 + mean, 101 * mean]) / 101)
