"""How candidates are divided between the requests of a batch."""

from __future__ import annotations

import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import Tensor

from recsys.policies.allocation import (
    AdaptiveAllocation,
    Allocation,
    UniformAllocation,
    expected_gains,
    shrunk_deviation,
)
from recsys.ranges import RangeError


def all_known(reward: Tensor) -> Tensor:
    return torch.ones(reward.shape, dtype=torch.bool)


def rewards(spread: list[float], explored: int, seed: int = 0) -> Tensor:
    return torch.randn(len(spread), explored, generator=torch.Generator().manual_seed(seed)) * torch.tensor(
        spread
    ).unsqueeze(1)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("allocation", "candidates"),
    [
        (UniformAllocation(), 1),
        (UniformAllocation(), 16),
        (AdaptiveAllocation(), 16),
        (AdaptiveAllocation(exploration=2, most=1), 16),
        (AdaptiveAllocation(exploration=3), 4),
        (AdaptiveAllocation(exploration=8), 8),
        (AdaptiveAllocation(exploration=8), 1),
    ],
)
def test_the_budget_is_kept_exactly(allocation: Allocation, candidates: int, seed: int) -> None:
    explored = allocation.explored(candidates)
    assert 1 <= explored <= candidates
    reward = rewards([0.0, 0.1, 1.0, 1.0, 30.0, 7.0, 1e-3], explored, seed)
    further = allocation.further(reward, all_known(reward), candidates)
    assert int(further.sum()) == 7 * (candidates - explored) and bool((further >= 0).all())
    if isinstance(allocation, AdaptiveAllocation):
        assert int(further.max()) + explored <= allocation.most * candidates


def test_the_rest_goes_where_rewards_differ_most() -> None:
    reward = torch.arange(8.0) * torch.tensor([[1.0], [1.0], [1.0], [20.0]])
    further = AdaptiveAllocation(exploration=8, most=4).further(reward, all_known(reward), 16)
    assert int(further[3]) > 8 > int(further[:3].max())
    same = reward.new_ones(4, 1) * torch.arange(8.0)
    assert AdaptiveAllocation().further(same, all_known(same), 16).tolist() == [8] * 4, "requests that are alike"


def test_equal_rewards_and_unknown_ones_have_no_gain() -> None:
    equal = torch.full((3, 8), 0.1)
    assert not expected_gains(equal, all_known(equal), 4).any()
    assert AdaptiveAllocation().further(equal, all_known(equal), 10).tolist() == [2, 2, 2]
    reward = torch.stack([torch.arange(8.0), torch.full((8,), 5.0), torch.arange(8.0)])
    mask = torch.ones(3, 8, dtype=torch.bool)
    mask[2, 1:] = False  # one reward is known
    gains = expected_gains(reward.masked_fill(~mask, float("nan")), mask, 4)
    assert bool((gains[0] > 0).all()) and not gains[1:].any()
    tiny = torch.arange(8.0, dtype=torch.float64) * torch.tensor([[1.0], [1e-200]], dtype=torch.float64)
    gains = expected_gains(tiny, all_known(tiny), 4)
    assert bool((gains[0] > 0).all()) and not gains[1].any()
    nothing = torch.zeros(2, 8, dtype=torch.bool)
    assert AdaptiveAllocation().further(torch.full((2, 8), float("nan")), nothing, 9).tolist() == [1, 1]
    assert AdaptiveAllocation().further(torch.zeros(0, 8), torch.zeros(0, 8, dtype=torch.bool), 9).tolist() == []


def test_the_gain_is_the_integral_over_the_kernel_density() -> None:
    value = [0.3, -1.2, 2.0, 0.9]
    reward = torch.tensor([value], dtype=torch.float64)
    width = float(reward.std()) * 4**-0.2

    def gain(further: int) -> float:
        def beyond(x: float) -> float:
            below = sum(float(norm.cdf((x - one) / width)) for one in value) / 4
            return below**further * (1 - below)

        return float(quad(beyond, 2.0, 30.0)[0])

    found = expected_gains(reward, all_known(reward), 6)[0]
    assert found.tolist() == pytest.approx([gain(further) for further in range(6)], rel=1e-3)
    assert bool((found[1:] <= found[:-1]).all())


def test_gains_ignore_what_is_unknown_and_scale_with_the_reward() -> None:
    reward = rewards([1.0, 3.0], 8)
    both = expected_gains(reward, all_known(reward), 5)
    assert torch.allclose(expected_gains(10 * reward + 7, all_known(reward), 5), 10 * both, rtol=1e-5)
    padded = torch.cat([reward, torch.full((2, 3), float("nan"))], 1)
    mask = torch.cat([all_known(reward), torch.zeros(2, 3, dtype=torch.bool)], 1)
    assert torch.allclose(expected_gains(padded, mask, 5), both)


def test_deviations_that_sampling_explains_become_one() -> None:
    alike = rewards([1.0] * 60, 8).std(1)
    found = shrunk_deviation(alike, torch.full((60,), 8))
    assert float(found.std()) < 0.4 * float(alike.std())
    unlike = torch.tensor([0.01, 1.0, 100.0])
    assert torch.allclose(shrunk_deviation(unlike, torch.full((3,), 8)), unlike, rtol=0.05)
    assert shrunk_deviation(torch.tensor([3.0]), torch.tensor([2])).tolist() == [3.0]
    assert shrunk_deviation(torch.tensor([3.0, 3.0]), torch.tensor([2, 2])).tolist() == pytest.approx([3.0, 3.0])


@pytest.mark.parametrize(("options", "said"), [({"exploration": 1}, "exploration=1"), ({"most": 0}, "most=0")])
def test_numbers_out_of_range_are_refused(options: dict[str, int], said: str) -> None:
    with pytest.raises(RangeError, match=said):
        AdaptiveAllocation(**options)
