from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from recsys.errors import ConfigurationError, RequestError
from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.reward_model import ActionMeans
from recsys.replay.actions.weights import (
    Clip,
    EstimatedWeights,
    PlainWeights,
    Shrink,
    SubGaussian,
    Switch,
    Weights,
    ZeroWeights,
)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (PlainWeights(), [0.5, 2, 1, 4]),
        (ZeroWeights(), [0, 0, 0, 0]),
        (Clip(1.5), [0.5, 1.5, 1, 1.5]),
        (Switch(2.0), [0.5, 2, 1, 0]),
        (Shrink(2.0), [1 / 2.25, 4 / 6, 2 / 3, 8 / 18]),
        (SubGaussian(0.5), [0.5 / 0.75, 2 / 1.5, 1, 4 / 2.5]),
    ],
)
def test_by_hand(four_rounds: BanditBatch, weights: Weights, expected: list[float]) -> None:
    assert isinstance(weights, Weights)
    assert weights(four_rounds).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("weights", [Clip(1e9), Switch(1e9), Shrink(1e12), SubGaussian(0.0)])
def test_at_one_end_they_are_plain(four_rounds: BanditBatch, weights: Weights) -> None:
    torch.testing.assert_close(weights(four_rounds), PlainWeights()(four_rounds))


def test_at_the_other_end_sub_gaussian_ones_are_1(four_rounds: BanditBatch) -> None:
    torch.testing.assert_close(SubGaussian(1.0)(four_rounds), torch.ones(4, dtype=torch.float64))


def test_shrinkage_is_at_most_half_the_root_of_its_strength() -> None:
    target = torch.linspace(0, 1, 101, dtype=torch.float64)
    many = BanditBatch(torch.zeros(101, dtype=torch.long), target, torch.full_like(target, 0.01), target)
    shrunk = Shrink(16.0)(many)
    assert float(shrunk.max()) == pytest.approx(2.0) and int(shrunk.argmax()) == 4


@pytest.mark.parametrize(
    ("make", "wrong"),
    [
        (Clip, 0.0),
        (Switch, -1.0),
        (Shrink, 0.0),
        (SubGaussian, 1.1),
        (SubGaussian, -0.1),
        (ActionMeans, 0.0),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[float], object], wrong: float) -> None:
    with pytest.raises(ConfigurationError, match=f"={wrong}: expected"):
        make(wrong)


def test_estimated_ones_are_given_or_refused(four_rounds: BanditBatch) -> None:
    given = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    assert torch.equal(EstimatedWeights()(replace(four_rounds, estimated_weight=given)), given)
    with pytest.raises(RequestError, match="weights estimated from the log"):
        EstimatedWeights()(four_rounds)
