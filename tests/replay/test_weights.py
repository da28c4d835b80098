from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from recsys.errors import ConfigurationError, RequestError
from recsys.replay.kernel import Epanechnikov, Gaussian
from recsys.replay.reward_model import ActionMeans
from recsys.replay.rounds import Rounds
from recsys.replay.weights import Clip, Estimated, Nothing, Plain, Shrink, SubGaussian, Switch, Weights


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (Plain(), [0.5, 2, 1, 4]),
        (Nothing(), [0, 0, 0, 0]),
        (Clip(1.5), [0.5, 1.5, 1, 1.5]),
        (Switch(2.0), [0.5, 2, 1, 0]),
        (Shrink(2.0), [1 / 2.25, 4 / 6, 2 / 3, 8 / 18]),
        (SubGaussian(0.5), [0.5 / 0.75, 2 / 1.5, 1, 4 / 2.5]),
    ],
)
def test_by_hand(four_rounds: Rounds, weights: Weights, expected: list[float]) -> None:
    assert isinstance(weights, Weights)
    assert weights(four_rounds).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("weights", [Clip(1e9), Switch(1e9), Shrink(1e12), SubGaussian(0.0)])
def test_at_one_end_they_are_plain(four_rounds: Rounds, weights: Weights) -> None:
    torch.testing.assert_close(weights(four_rounds), Plain()(four_rounds))


def test_at_the_other_end_sub_gaussian_ones_are_1(four_rounds: Rounds) -> None:
    torch.testing.assert_close(SubGaussian(1.0)(four_rounds), torch.ones(4, dtype=torch.float64))


def test_shrinkage_is_at_most_half_the_root_of_its_strength() -> None:
    target = torch.linspace(0, 1, 101, dtype=torch.float64)
    many = Rounds(torch.zeros(101, dtype=torch.long), target, torch.full_like(target, 0.01), target)
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
        (Gaussian, 0.0),
        (Epanechnikov, -2.0),
        (ActionMeans, 0.0),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Callable[[float], object], wrong: float) -> None:
    with pytest.raises(ConfigurationError, match=f"not {wrong}"):
        make(wrong)


def test_estimated_ones_are_given_or_refused(four_rounds: Rounds) -> None:
    given = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    assert torch.equal(Estimated()(replace(four_rounds, estimated_weight=given)), given)
    with pytest.raises(RequestError, match="weights estimated from the log"):
        Estimated()(four_rounds)
