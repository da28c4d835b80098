"""Assign rows to clusters of given sizes at the least total cost, and find the prices (dual variables) of the solution.

The problem is a transport problem. Rows move between clusters along cheapest chains: a cluster with too many rows
passes one row to another cluster, which passes one on, until a cluster has room. The search works on the `K × K` matrix
of the cheapest move from each cluster to each other one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

PRICE_STEPS = 60
"""The most steps of the price search. Afterwards rows are moved one chain at a time."""
FEW_ROWS = 64
"""The price search ends when at most this many rows are left to move: a step costs about as much as moving them."""


def balanced_assignment(
    cost: Float[np.ndarray, "N K"], sizes: Int[np.ndarray, " K"], prices: Float[np.ndarray, " K"]
) -> Int[np.ndarray, " N"]:
    """Return the cluster of each row, `[N]`, such that cluster `k` has `sizes[k]` rows and the total cost is minimal.

    The search first looks for prices at which each cluster attracts about `sizes[k]` rows. Then rows move along
    cheapest chains (successive shortest paths), which end at the optimum from any prices. Time grows with the number of
    rows that are left to move, times `K²`.

    Args:
        cost: `[N, K]`, cost of row `n` in cluster `k`.
        sizes: `[K]`, number of rows of each cluster; they sum to `N`.
        prices: `[K]`, start of the price search. The result does not depend on it, except among ties.

    >>> cost = np.array([[0.0, 5.0], [1.0, 2.0], [0.0, 9.0], [3.0, 3.5]])
    >>> balanced_assignment(cost, np.array([2, 2]), np.zeros(2))
    array([0, 1, 0, 1])
    """
    cluster = (cost + _clearing_prices(cost, sizes, prices)).argmin(-1)
    passes, row = _all_passes(cost, cluster, sizes.size)
    tolerance = 1e-12 * (np.ptp(cost) + 1)
    surplus = np.bincount(cluster, minlength=sizes.size) - sizes
    while (surplus > 0).any():
        chain = _cheapest_chain(passes, surplus, tolerance)
        cluster[row[chain[:-1], chain[1:]]] = chain[1:]
        surplus[chain[0]] -= 1
        surplus[chain[-1]] += 1
        for k in chain:
            passes[k], row[k] = _passes(cost, cluster, k)
    return cluster


def supporting_prices(cost: Float[np.ndarray, "N K"], cluster: Int[np.ndarray, " N"]) -> Float[np.ndarray, " K"]:
    """Return prices `[K]` at which the cluster of every row is its cheapest, `cluster[n] = argmin_k cost[n, k] + p_k`.

    Such prices exist if and only if the assignment has the least total cost for its sizes. Each row `n` of cluster `a`
    requires `p_a − p_b ≤ cost[n, b] − cost[n, a]` for every `b`. The mean of the extreme solutions is returned, which
    lies far from ties.

    Args:
        cost: `[N, K]`, cost of row `n` in cluster `k`.
        cluster: `[N]`, the cheapest assignment for its sizes. Every cluster has at least one row.

    >>> supporting_prices(np.array([[0.0, 5.0], [1.0, 2.0]]), np.array([0, 1]))
    array([ 1.5, -1.5])
    """
    chain, _ = _all_passes(cost, cluster, cost.shape[1])
    np.fill_diagonal(chain, 0.0)
    for k in range(cost.shape[1]):
        chain = np.minimum(chain, chain[:, k : k + 1] + chain[k : k + 1])
    return (chain - chain.T).mean(-1) / 2


def _clearing_prices(cost: np.ndarray, sizes: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """Raise the prices of clusters with too many rows, step by step; return those that leave the fewest to move."""
    best, fewest = prices, np.inf
    step = np.ptp(np.partition(cost, min(1, sizes.size - 1), axis=-1)[:, :2], axis=-1).mean()
    for count in range(PRICE_STEPS):
        surplus = np.bincount((cost + prices).argmin(-1), minlength=sizes.size) - sizes
        rows = np.maximum(surplus, 0).sum()
        if rows < fewest:
            best, fewest = prices, rows
        if fewest <= FEW_ROWS:
            break
        prices = prices + step / (1 + count) ** 0.5 * surplus / np.maximum(sizes, 1)
    return best


def _passes(cost: np.ndarray, cluster: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the least cost of moving a row of cluster `k` to each cluster, and the row that has this cost."""
    rows = np.flatnonzero(cluster == k)
    if rows.size == 0:
        return np.full(cost.shape[1], np.inf), np.full(cost.shape[1], -1)
    extra = cost[rows] - cost[rows, k, None]
    cheapest = extra.argmin(0)
    return extra[cheapest, np.arange(cost.shape[1])], rows[cheapest]


def _all_passes(cost: np.ndarray, cluster: np.ndarray, clusters: int) -> tuple[np.ndarray, np.ndarray]:
    passes, rows = zip(*(_passes(cost, cluster, k) for k in range(clusters)), strict=True)
    return np.stack(passes), np.stack(rows)


def _cheapest_chain(passes: np.ndarray, surplus: np.ndarray, tolerance: float) -> list[int]:
    """Return the cheapest chain of clusters from one with too many rows to one with too few (Bellman–Ford)."""
    distance = np.where(surplus > 0, 0.0, np.inf)
    previous = np.full(surplus.size, -1)
    while True:
        through = distance[:, None] + passes
        nearest = through.argmin(0)
        shorter = through[nearest, np.arange(surplus.size)]
        improved = shorter < distance - tolerance
        if not improved.any():
            break
        distance[improved] = shorter[improved]
        previous[improved] = nearest[improved]
    chain = [int(np.where(surplus < 0, distance, np.inf).argmin())]
    while previous[chain[-1]] >= 0:
        chain.append(int(previous[chain[-1]]))
    return chain[::-1]
