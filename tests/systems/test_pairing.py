from __future__ import annotations

import pytest
import torch
from scipy.stats import kendalltau
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.systems.pairing import (
    BestAgainstWorst,
    Candidates,
    RewardedSlates,
    TemporalPairing,
    rank_consistency,
)
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

GONE = -1


def candidates(items: list[list[list[int]]], reward: list[list[float]]) -> RewardedSlates:
    shown = torch.tensor(items)
    log_prob = -torch.arange(1.0, 1.0 + shown.numel()).view(shown.shape)
    return RewardedSlates(Slates(shown, log_prob), torch.tensor(reward))


OLDER = candidates(
    [
        [[1, 2], [3, 4], [5, 6], [7, 8]],
        [[1, 2], [3, 4], [GONE, GONE], [GONE, GONE]],
        [[1, 2], [GONE, GONE], [GONE, GONE], [GONE, GONE]],
        [[GONE, GONE]] * 4,
        [[1, 2], [3, 4], [5, 6], [7, 8]],
    ],
    [[0.2, 0.9, -0.5, 0.1], [0.3, 0.4, 99.0, -99.0], [1.0, 0.0, 0.0, 0.0], [0.0] * 4, [0.5, 0.5, 0.5, 0.5]],
)
NOW = candidates(
    [[[9, 8], [7, 6]], [[9, 8], [7, 6]], [[9, 8], [7, 6]], [[9, 8], [7, 6]], [[GONE, GONE]] * 2],
    [[0.1, 2.0], [0.2, 0.1], [3.0, 0.0], [1.0, 0.0], [0.0, 0.0]],
)
CONTEXT = Context(torch.arange(10, 15), Jagged.empty(5), Jagged.empty(5))


def both() -> Candidates:
    return Candidates(lambda: OLDER, lambda: NOW)


def test_the_best_of_the_older_policy_stands_against_its_worst() -> None:
    """Missing candidates are neither; one candidate, none, or equal rewards give no pair."""
    rows, pairs = BestAgainstWorst()(both(), CONTEXT)
    assert rows.tolist() == [0, 1] and pairs.context.users.tolist() == [10, 11]
    assert pairs.better.items.tolist() == [[[3, 4]], [[3, 4]]]
    assert pairs.worse.items.tolist() == [[[5, 6]], [[1, 2]]]
    assert pairs.weight.tolist() == [1.0, 1.0] and pairs.consistency is None
    assert pairs.better.log_prob[0].tolist() == [[-3.0, -4.0]]


def test_several_worse_slates_come_from_the_end() -> None:
    rows, pairs = BestAgainstWorst(worse=2)(both(), CONTEXT)
    assert rows.tolist() == [0] and pairs.worse.items.tolist() == [[[5, 6], [7, 8]]]
    assert BestAgainstWorst(worse=4)(both(), CONTEXT)[0].tolist() == [], "the best is not among the worse"


@pytest.mark.parametrize(("margin", "found"), [(0.05, [0, 1]), (0.2, [0]), (1.5, [])])
def test_a_margin_is_exceeded(margin: float, found: list[int]) -> None:
    assert BestAgainstWorst(margin=margin)(both(), CONTEXT)[0].tolist() == found


def test_two_moments_give_the_best_of_now_and_the_worst_of_before() -> None:
    rows, pairs = TemporalPairing()(both(), CONTEXT)
    assert rows.tolist() == [0, 2]
    assert pairs.better.items.tolist() == [[[7, 6]], [[9, 8]]]
    assert pairs.worse.items.tolist() == [[[5, 6]], [[1, 2]]]


def test_candidates_are_made_when_asked_for() -> None:
    def never() -> RewardedSlates:
        raise AssertionError

    BestAgainstWorst()(Candidates(lambda: OLDER, never), CONTEXT)


@pytest.mark.parametrize("bad", [{"worse": 0}, {"margin": -1.0}, {"margin": float("nan")}])
def test_numbers_out_of_range_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(bad))):
        BestAgainstWorst(**bad)  # type: ignore[arg-type]


def test_consistency_is_kendalls_correlation_over_existing_candidates() -> None:
    generator = torch.Generator().manual_seed(0)
    items = torch.arange(24).view(2, 6, 2)
    log_prob, reward = (torch.rand(2, 6, generator=generator) for _ in range(2))
    found = RewardedSlates(Slates(items, torch.stack([log_prob, log_prob], -1)), reward)
    for row, consistency in enumerate(rank_consistency(found).tolist()):
        assert 2 * consistency - 1 == pytest.approx(kendalltau(log_prob[row], reward[row]).statistic, abs=1e-6)
    shorter = found.replace(slates=found.slates.replace(items=items.index_fill(1, torch.tensor([2, 5]), GONE)))
    kept = torch.tensor([0, 1, 3, 4])
    expected = kendalltau(log_prob[0, kept], reward[0, kept]).statistic
    assert 2 * rank_consistency(shorter)[0].item() - 1 == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("reward", "expected"), [([4.0, 3.0, 2.0], 1.0), ([2.0, 3.0, 4.0], 0.0), ([1.0] * 3, 0.5)])
def test_golden_values_of_consistency(reward: list[float], expected: float) -> None:
    found = candidates([[[1, 2], [3, 4], [5, 6]]], [reward])
    assert rank_consistency(found).tolist() == [expected]


def test_consistency_travels_with_its_pair() -> None:
    def trust(found: RewardedSlates) -> Tensor:
        return torch.arange(len(found)) / 10

    assert BestAgainstWorst(consistency=trust)(both(), CONTEXT)[1].consistency.tolist() == pytest.approx([0.0, 0.1])  # type: ignore[union-attr]
