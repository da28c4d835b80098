"""The cheapest way to share rows out over clusters of given sizes, and the prices that explain it.

Rows are moved between clusters along cheapest chains: a full cluster passes one row to its neighbour, which passes one
on, until the chain ends where there is room. Everything happens on the `K × K` table of cheapest passes.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

PRICE_STEPS = 60
"""The most steps of price search before rows are moved one chain at a time."""
FEW_ROWS = 64
"""So many rows left to move end the price search: a step of it costs about as much as moving them."""


def balanced_assignment(
    cost: Float[np.ndarray, "N K"], sizes: Int[np.ndarray, " K"], prices: Float[np.ndarray, " K"]
) -> Int[np.ndarray, " N"]:
    """`[N]`: the cluster of each row, cluster `k` getting exactly `sizes[k]` rows, at the least total cost.

    Prices set demand near the sizes first. Rows then move along cheapest chains (successive shortest paths), which
    ends at the optimum from any prices. Time grows with the rows left to move times `K²`.

    Args:
        cost: `[N, K]`, of row `n` in cluster `k`.
        sizes: `[K]`, summing to `N`.
        prices: `[K]`, where the search starts; the result does not depend on them, up to ties.

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
    """`[K]`: prices under which every row's own cluster is its cheapest, as far from ties as all together allow.

    They exist exactly where no exchange of rows lowers the total cost of the clusters. Row `n` of cluster `a` asks
    `p_a − p_b ≤ cost[n, b] − cost[n, a]`; of the solutions at the corners of what is allowed, the mean is returned.

    Args:
        cost: `[N, K]`.
        cluster: `[N]`, the cheapest assignment for its sizes; every cluster has a row.

    >>> supporting_prices(np.array([[0.0, 5.0], [1.0, 2.0]]), np.array([0, 1]))
    array([ 1.5, -1.5])
    """
    chain, _ = _all_passes(cost, cluster, cost.shape[1])
    np.fill_diagonal(chain, 0.0)
    for k in range(cost.shape[1]):
        chain = np.minimum(chain, chain[:, k : k + 1] + chain[k : k + 1])
    return (chain - chain.T).mean(-1) / 2


def _clearing_prices(cost: np.ndarray, sizes: np.ndarray, prices: np.ndarray) -> np.ndarray:
    """Of the prices met on the way up the gradient of demand, those that leave the fewest rows to move."""
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
    """What the cheapest row of cluster `k` costs to pass to each cluster, and which row that is."""
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
    """The clusters of the cheapest chain from one with too many rows to one with too few (Bellman and Ford)."""
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
