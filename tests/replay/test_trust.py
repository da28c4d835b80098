from __future__ import annotations

import pytest
import torch

from recsys.metrics.intervals import Interval
from recsys.replay.trust import Limits, no_answer
from recsys.replay.weight_summary import WeightSummary


def summary(*weights: float, times: int = 500) -> WeightSummary:
    return WeightSummary.of(torch.tensor(weights).repeat(times))


def test_even_weights_are_an_answer() -> None:
    assert no_answer(summary(0.5, 1.5), Limits()) == ""


def test_few_rounds_are_none_whatever_their_weights_average() -> None:
    few = summary(1.0, times=50)
    assert no_answer(few, Limits()) == "effective sample size 50, at least 100 is asked"
    assert no_answer(few, Limits(effective_sample_size=50)) == ""


def test_one_heavy_round_makes_many_worth_few() -> None:
    heavy = WeightSummary.of(torch.cat([torch.ones(1000), torch.tensor([1000.0])]))
    assert "effective sample size 4" in no_answer(heavy, Limits())  # 2000² / (1000 + 1000²)


@pytest.mark.parametrize(("level", "words"), [(0.6, "choices that the log does not show"), (1.4, "are too small")])
def test_weights_that_do_not_average_one_are_none(level: float, words: str) -> None:
    found = no_answer(summary(level - 0.1, level + 0.1), Limits())
    assert words in found and f"weights average {level:.3f} [{level - 0.006:.3f}" in found
    assert no_answer(summary(level - 0.1, level + 0.1), Limits(), whole=False) == ""
    assert no_answer(summary(level - 0.1, level + 0.1), Limits(missing=0.5)) == ""


def test_an_average_off_by_chance_is_an_answer() -> None:
    noisy = summary(0.0, 1.7, times=60)
    assert no_answer(noisy, Limits(effective_sample_size=10)) == ""
    assert no_answer(noisy, Limits(effective_sample_size=10, confidence=0.1)) != ""


def test_no_weight_at_all_is_none() -> None:
    assert no_answer(summary(0.0), Limits()) == "effective sample size 0, at least 100 is asked"
    found = no_answer(summary(0.0), Limits(effective_sample_size=0))
    assert found.startswith("weights average 0.000 [0.000, 0.000]") and found.endswith("the log does not show")


def test_weights_of_users_may_be_off_by_more() -> None:
    off = summary(0.7, 0.9)
    assert no_answer(off, Limits()) != ""
    assert no_answer(off, Limits(), mean=Interval(0.8, 0.6, 1.0)) == ""
    assert no_answer(off, Limits(), mean=Interval(0.8)) == ""
