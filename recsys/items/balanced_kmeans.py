"""K-means with clusters of equal size: sizes differ by at most one."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.items.balanced_assignment import balanced_assignment, supporting_prices
from recsys.items.residual_quantizer import Clusterer, Clusters, ResidualQuantizer, squared_distances
from recsys.ranges import at_least


class BalancedKMeans(ResidualQuantizer):
    """A residual quantizer with balanced levels: each code gets ⌊N/K⌋ or ⌈N/K⌉ of the `N` fitted vectors.

    Every level is balanced by itself. With two or more levels, items can still share all their codes.

    Args:
        levels: number of levels `L`.
        codes: number of codes `K` of each level.
        iterations: the most rounds of assignment and averaging of a level. A few dozen reach the fixed point.

    Source: OneRec (arXiv 2502.18965), section 3.1 and Algorithm 1. OneRec fills the clusters one after the other, so
    the last clusters get the remaining vectors. Here all clusters are filled at once at the least total squared
    distance. Each round then lowers the error or is the last, and the result does not depend on the order of the
    clusters.
    """

    def __init__(self, levels: int = 1, codes: int = 32, iterations: int = 50) -> None:
        super().__init__(BalancedClusterer(iterations), levels, codes)


class BalancedClusterer(Clusterer):
    """Balanced k-means on the residuals of one level.

    Args:
        iterations: the most rounds of assignment and averaging.
    """

    def __init__(self, iterations: int = 50) -> None:
        at_least(0, iterations=iterations)
        self.iterations = iterations

    @override
    def __call__(self, x: Float[Tensor, "N D"], codes: int, generator: torch.Generator) -> Clusters:
        """Split `N ≥ codes` vectors into clusters, starting from the centroids of `spread_seeds`."""
        return self.refine(x, spread_seeds(x, codes, generator), x.new_zeros(codes))

    def refine(self, x: Float[Tensor, "N D"], centroids: Float[Tensor, "K D"], prices: Float[Tensor, " K"]) -> Clusters:
        """Alternate assignment and averaging until the error stops falling. The result is a fixed point.

        Args:
            x: `[N, D]`, the vectors, `N ≥ K`.
            centroids: `[K, D]`, centroids to start from.
            prices: `[K]`, prices to start from. The clusters that attract the most vectors at these prices get ⌈N/K⌉
                vectors, the others ⌊N/K⌋.
        """
        price = prices.double().cpu().numpy()
        cost = squared_distances(x.double(), centroids.double()).cpu().numpy()
        sizes = _equal_sizes((cost + price).argmin(-1), price.size)
        cluster = balanced_assignment(cost, sizes, price)
        for _ in range(self.iterations):
            price = supporting_prices(cost, cluster)
            means = _means(x, cluster, price.size)
            cost_of_means = squared_distances(x.double(), means).cpu().numpy()
            better = balanced_assignment(cost_of_means, sizes, price)
            centroids, cost = means, cost_of_means
            if _total(cost, better) >= _total(cost, cluster) * (1 - 1e-12):
                break
            cluster = better
        return Clusters(
            centroids.double(),
            torch.from_numpy(supporting_prices(cost, cluster)).to(x.device),
            torch.from_numpy(cluster).to(x.device),
        )


def spread_seeds(x: Float[Tensor, "N D"], codes: int, generator: torch.Generator) -> Float[Tensor, "K D"]:
    """Return `K` start centroids `[K, D]` by greedy k-means++.

    Centroids are rows of `x`, drawn one after the other with probability proportional to the squared distance from the
    nearest centroid so far. Each turn draws `2 + ⌊log₂ K⌋` rows and keeps the one that leaves the least total distance.

    Source: Arthur and Vassilvitskii 2007, k-means++, section 3, with the greedy choice of its section 7.
    """
    draws = 2 + int(math.log2(codes))
    first = int(torch.randint(x.shape[0], (1,), generator=generator))
    seeds = [first]
    nearest = squared_distances(x, x[first : first + 1]).squeeze(-1)
    while len(seeds) < codes:
        weight = nearest if bool(nearest.sum() > 0) else torch.ones_like(nearest)
        drawn = torch.multinomial(weight.cpu(), draws, replacement=True, generator=generator).to(x.device)
        candidate = torch.minimum(squared_distances(x, x[drawn]), nearest.unsqueeze(-1))
        best = int(candidate.sum(0).argmin())
        seeds.append(int(drawn[best]))
        nearest = candidate[:, best]
    return x[seeds]


def _equal_sizes(demand: Int[np.ndarray, " N"], clusters: int) -> Int[np.ndarray, " K"]:
    """Return cluster sizes that sum to `N`: ⌈N/K⌉ for the clusters with the most rows of `demand`, ⌊N/K⌋ for others."""
    floor, larger = divmod(demand.size, clusters)
    order = np.argsort(-np.bincount(demand, minlength=clusters), kind="stable")
    sizes = np.full(clusters, floor)
    sizes[order[:larger]] += 1
    return sizes


def _means(x: Float[Tensor, "N D"], cluster: Int[np.ndarray, " N"], clusters: int) -> Float[Tensor, "K D"]:
    index = torch.from_numpy(cluster).to(x.device)
    lengths = torch.bincount(index, minlength=clusters)
    return torch.segment_reduce(x.double()[index.argsort()], "mean", lengths=lengths, axis=0)


def _total(cost: Float[np.ndarray, "N K"], cluster: Int[np.ndarray, " N"]) -> float:
    return float(cost[np.arange(cluster.size), cluster].sum())
