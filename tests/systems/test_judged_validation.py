"""Validation by a judge, on what a small encoder-decoder finds and on slates that are given."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError, RequestError
from recsys.policies.generative import GenerativePolicy
from recsys.rewards.reward import Reward
from recsys.systems.judged_validation import JudgedValidation
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates
from tests.tiny import tiny_generator


class Sum(Reward):
    """The sum of a slate's item indices, where there is a slate."""

    order_matters, bounds = False, None

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def __call__(self, example: Example, slates: Slates) -> Tensor:
        return (self.factor * slates.items.sum(-1).float()).masked_fill(~slates.mask, 0.0)


class Fixed(GenerativePolicy):
    """A policy whose search always finds the same slates."""

    def __init__(self, slates: Slates) -> None:
        super().__init__(tiny_generator())
        self.slates = slates
        self.asked: list[tuple[int, int]] = []

    def top(self, context: Context, k: int, slots: int = 1) -> Slates:
        self.asked.append((k, slots))
        return self.slates


def found(*requests: list[list[int]]) -> tuple[Fixed, Example]:
    """A policy that finds these slates, best first, and its requests."""
    items = torch.tensor(requests)
    policy = Fixed(Slates(items, torch.zeros(items.shape).masked_fill(items < 0, -torch.inf), SamplingMethod.TOP))
    rows, logged = len(items), items[:, :1]
    context = Context(torch.arange(rows), Jagged.empty(rows), Jagged.empty(rows))
    return policy, Example(context, Slates(logged, torch.zeros(logged.shape)))


def test_golden_values() -> None:
    """The first request repeats a slate in another order, the second lacks its last candidate."""
    policy, batch = found([[1, 2], [2, 1], [1, 3]], [[4, 5], [6, 5], [-1, -1]])
    validation = JudgedValidation(Sum(0.5), Sum(), candidates=3)
    seen = {name: float(value) for name, value in validation.figures(policy, batch, 2).items()}
    proxy = ((3 + 4) / 2 + (9 + 11) / 2) / 2
    assert seen == pytest.approx(
        {
            "validation/judge": proxy / 2,
            "validation/proxy": proxy,
            "validation/gap": proxy / 2,
            "validation/distinct_first_items": (1 / 2 + 2 / 2) / 2,
            "validation/repeat_rate": (1 / 3 + 0) / 2,
        }
    )
    assert policy.asked == [(3, 2)]
    assert validation.epoch_figures(12) == {"validation/coverage": pytest.approx(6 / 12)}


def test_coverage_is_that_of_all_batches_of_an_epoch() -> None:
    validation = JudgedValidation(Sum())
    for request in ([[0, 1]], [[1, 2]]):
        assert "validation/gap" not in validation.figures(*found(request), 2)
    assert validation.epoch_figures(6)["validation/coverage"] == pytest.approx(3 / 6)
    validation.figures(*found([[5, 4]]), 2)
    assert validation.epoch_figures(6)["validation/coverage"] == pytest.approx(2 / 6)


def test_there_is_at_least_one_candidate() -> None:
    with pytest.raises(ConfigurationError, match="candidates"):
        JudgedValidation(Sum(), candidates=0)


def test_requests_without_a_whole_slate_are_left_out() -> None:
    """The first has two slates that end early, the second one whole slate beside one that does."""
    policy, batch = found([[7, -1], [8, -1]], [[4, 5], [6, -1]], [[1, 2], [1, 3]])
    seen = JudgedValidation(Sum(), candidates=2).figures(policy, batch, 2)
    assert float(seen["validation/judge"]) == (9 + 3.5) / 2
    assert float(seen["validation/distinct_first_items"]) == (1 + 1 / 2) / 2
    short, batch = found([[7, -1]], [[-1, -1]])
    with pytest.raises(RequestError, match="none of 2 validation requests allows 2 items"):
        JudgedValidation(Sum()).figures(short, batch, 2)


def test_an_epoch_without_a_batch_covers_nothing() -> None:
    assert JudgedValidation(Sum()).epoch_figures(6) == {"validation/coverage": 0.0}


@pytest.mark.parametrize("name", ["judge", "proxy"])
def test_a_reward_that_compares_one_request_is_no_judge(name: str) -> None:
    ranks = Sum()
    ranks.compares_requests = False
    with pytest.raises(ConfigurationError, match=f"validation.{name}: Sum compares candidates of one request only"):
        JudgedValidation(**{"judge": Sum(), name: ranks})
