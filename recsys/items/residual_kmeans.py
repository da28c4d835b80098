"""Plain residual k-means, by FAISS."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.items.residual import Clusters, ResidualQuantizer, squared_distances


class ResidualKMeans(ResidualQuantizer):
    """Residual quantizer whose levels are k-means; codes may be used very unequally.

    Args:
        levels: `L`.
        codes: `K` codes a level.
        iterations: rounds of k-means a level.

    Source: RQ-Kmeans of the OneRec Technical Report (arXiv 2506.13695), section 2.1.
    """

    def __init__(self, levels: int = 3, codes: int = 256, iterations: int = 25) -> None:
        super().__init__(FaissClusterer(iterations), levels, codes)


class FaissClusterer:
    """K-means on one level's residuals, on the CPU.

    Args:
        iterations: rounds of assignment and averaging.
    """

    def __init__(self, iterations: int = 25) -> None:
        self.iterations = iterations

    def __call__(self, x: Float[Tensor, "N D"], codes: int, generator: torch.Generator) -> Clusters:
        """Split `N ≥ codes` vectors."""
        import faiss

        kmeans = faiss.Kmeans(
            x.shape[1],
            codes,
            niter=self.iterations,
            seed=int(torch.randint(2**31 - 1, (1,), generator=generator)),
            min_points_per_centroid=1,
            max_points_per_centroid=x.shape[0],
        )
        kmeans.train(x.float().cpu().numpy())
        centroids = torch.from_numpy(kmeans.centroids).to(x)
        return Clusters(centroids, x.new_zeros(codes), squared_distances(x, centroids).argmin(-1))
