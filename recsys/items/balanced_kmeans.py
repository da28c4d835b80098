"""K-means whose clusters all have the same size, up to one."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.items.balanced_assignment import balanced_assignment, supporting_prices
from recsys.items.residual_quantizer import Clusters, ResidualQuantizer, squared_distances


class BalancedKMeans(ResidualQuantizer):
    """Residual quantizer with balanced levels: of `N` fitted vectors each code gets ⌊N/K⌋ or ⌈N/K⌉.

    Balance is kept at each level by itself; with two levels or more, whole codes can still collide.

    Args:
        levels: `L`.
        codes: `K` codes a level.
        iterations: the most rounds of assignment and averaging a level; a few dozen reach the fixed point.

    Source: OneRec (arXiv 2502.18965), section 3.1 and Algorithm 1. There clusters are filled one after the other, so
    that the last take what is left; here all are filled at once at the least total squared distance. Each round then
    lowers the error or ends, and the result does not depend on the order of the clusters.
    """

    def __init__(self, levels: int = 1, codes: int = 32, iterations: int = 50) -> None:
        super().__init__(BalancedClusterer(iterations), levels, codes)


class BalancedClusterer:
    """Balanced k-means on one level's residuals.

    Args:
        iterations: the most rounds.
    """

    def __init__(self, iterations: int = 50) -> None:
        self.iterations = iterations

    def __call__(self, x: Float[Tensor, "N D"], codes: int, generator: torch.Generator) -> Clusters:
        """Split `N ≥ codes` vectors, starting from seeds drawn far apart."""
        return self.refine(x, spread_seeds(x, codes, generator), x.new_zeros(codes))

    def refine(self, x: Float[Tensor, "N D"], centroids: Float[Tensor, "K D"], prices: Float[Tensor, " K"]) -> Clusters:
        """Alternate assignment and averaging from given centroids; the result is a fixed point of this function.

        Args:
            x: `[N, D]`, `N ≥ K`.
            centroids: `[K, D]`, where to start.
            prices: `[K]`, where to start. Clusters in demand at these prices get ⌈N/K⌉, the others ⌊N/K⌋.
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
    """`[K, D]`: rows of `x` drawn one after the other, each with probability ∝ squared distance to those before it.

    Of `2 + ⌊log₂ K⌋` rows drawn at each turn the one stays that leaves the least total distance.

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
    """⌈N/K⌉ for the clusters most in demand, ⌊N/K⌋ for the rest, summing to N."""
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
