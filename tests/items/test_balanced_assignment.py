from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from recsys.items.balanced_assignment import balanced_assignment, supporting_prices


def total(cost: np.ndarray, cluster: np.ndarray) -> float:
    return float(cost[np.arange(len(cluster)), cluster].sum())


@pytest.mark.parametrize("seed", range(5))
def test_least_cost_by_trying_every_assignment(seed: int) -> None:
    cost = np.random.default_rng(seed).random((7, 3))
    sizes = np.array([3, 2, 2])
    cluster = balanced_assignment(cost, sizes, np.zeros(3))
    best = min(total(cost, np.array(order)) for order in set(permutations([0, 0, 0, 1, 1, 2, 2])))
    assert np.bincount(cluster).tolist() == [3, 2, 2]
    assert total(cost, cluster) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("sizes", [[40] * 5, [0, 1, 99, 60, 40], [200, 0, 0, 0, 0]])
def test_least_cost_from_any_prices_for_any_sizes(sizes: list[int]) -> None:
    random = np.random.default_rng(0)
    cost, sizes_array = random.random((200, 5)) ** 3, np.array(sizes)
    one_column_a_place = np.repeat(np.arange(5), sizes)
    rows, columns = linear_sum_assignment(cost[:, one_column_a_place])
    best = cost[rows, one_column_a_place[columns]].sum()
    for prices in (np.zeros(5), random.normal(size=5)):
        cluster = balanced_assignment(cost, sizes_array, prices)
        assert np.bincount(cluster, minlength=5).tolist() == sizes
        assert total(cost, cluster) == pytest.approx(best)


def test_equal_rows_are_dealt_out() -> None:
    cluster = balanced_assignment(np.zeros((9, 3)), np.array([3, 3, 3]), np.zeros(3))
    assert np.bincount(cluster).tolist() == [3, 3, 3]


def test_prices_make_every_row_prefer_its_cluster() -> None:
    cost = np.random.default_rng(1).random((120, 6))
    cluster = balanced_assignment(cost, np.full(6, 20), np.zeros(6))
    prices = supporting_prices(cost, cluster)
    assert ((cost + prices).argmin(-1) == cluster).all()
    assert prices.sum() == pytest.approx(0)
    runner_up = np.partition(cost + prices, 1)[:, 1]
    assert (runner_up - (cost + prices).min(-1)).min() > 1e-6
