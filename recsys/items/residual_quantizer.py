"""Residual quantization, in which each level encodes the residual of the levels before it; k-means by FAISS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import DataError
from recsys.items.quantizer import Quantizer
from recsys.ranges import at_least

CHUNK = 1 << 16
"""Number of vectors that are encoded at once. It bounds the memory of the distances to all codewords."""


@dataclass(frozen=True)
class Clusters:
    """The clusters that one level learned.

    Args:
        centroids: `[K, D]`, the codewords.
        prices: `[K]`, added to the squared distances before the nearest centroid is chosen. They balance the clusters;
            plain k-means has prices 0.
        codes: `[N]`, the cluster of each vector, `argmin_k ‖x − c_k‖² + p_k` except among ties.
    """

    centroids: Float[Tensor, "K D"]
    prices: Float[Tensor, " K"]
    codes: Int[Tensor, " N"]


@runtime_checkable
class Clusterer(Protocol):
    """An algorithm that finds the codewords of one level."""

    def __call__(self, x: Float[Tensor, "N D"], codes: int, generator: torch.Generator) -> Clusters:
        """Split `N ≥ codes` vectors into `codes` clusters."""
        ...


class ResidualQuantizer(nn.Module, Quantizer):
    """A quantizer whose decoded vector is the sum of one codeword of each level.

        r¹ = x,   sˡ = argmin_k ‖rˡ − cˡ_k‖² + pˡ_k,   rˡ⁺¹ = rˡ − cˡ_sˡ,   x̂ = Σ_l cˡ_sˡ

    Encoding a decoded vector returns the same codes if each level's sum stays in its own cell. With one level this
    always holds. With more it holds if the residuals are small compared with the distances between earlier codewords.

    Args:
        clusterer: algorithm that finds the codewords `c` and prices `p` of a level from its residuals.
        levels: number of levels `L`.
        codes: number of codes `K`, the same at every level.

    Source: the residual form of OneRec (arXiv 2502.18965, section 3.1); prices are ours.
    """

    codebooks: Float[Tensor, "L K D"]
    prices: Float[Tensor, "L K"]

    def __init__(self, clusterer: Clusterer, levels: int, codes: int) -> None:
        at_least(1, levels=levels, codes=codes)
        super().__init__()
        self.clusterer = clusterer
        self.levels = levels
        self.codes_per_level = (codes,) * levels
        self.register_buffer("codebooks", torch.zeros(levels, codes, 0, dtype=torch.float64))
        self.register_buffer("prices", torch.zeros(levels, codes, dtype=torch.float64))
        self.register_load_state_dict_pre_hook(_take_width)

    @override
    def fit(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> ResidualQuantizer:
        self.fit_encode(x, generator)
        return self

    @override
    def fit_encode(self, x: Float[Tensor, "N D"], generator: torch.Generator) -> Int[Tensor, "N L"]:
        check_vectors(x, max(self.codes_per_level))
        residual = x.detach().double()
        levels = []
        for codes in self.codes_per_level:
            level = self.clusterer(residual, codes, generator)
            residual = residual - level.centroids[level.codes]
            levels.append(level)
        self.codebooks = torch.stack([level.centroids for level in levels])
        self.prices = torch.stack([level.prices for level in levels])
        return torch.stack([level.codes for level in levels], -1)

    @override
    def encode(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        return torch.cat([self._encode(rows, self.prices) for rows in x.split(CHUNK)])

    def nearest(self, x: Float[Tensor, "N D"]) -> Int[Tensor, "N L"]:
        """Return the codes of the nearest codewords, level after level, whatever their prices."""
        free = torch.zeros_like(self.prices)
        return torch.cat([self._encode(rows, free) for rows in x.split(CHUNK)])

    @override
    def decode(self, codes: Int[Tensor, "N l"]) -> Float[Tensor, "N D"]:
        levels = torch.arange(codes.shape[-1], device=codes.device)
        return self.codebooks[levels, codes].sum(-2).float()

    def _encode(self, x: Float[Tensor, "N D"], prices: Float[Tensor, "L K"]) -> Int[Tensor, "N L"]:
        residual = x.detach().double()
        codes = []
        for centroids, price in zip(self.codebooks, prices, strict=True):
            code = (squared_distances(residual, centroids) + price).argmin(-1)
            residual = residual - centroids[code]
            codes.append(code)
        return torch.stack(codes, -1)


def _take_width(quantizer: nn.Module, state_dict: dict[str, Any], prefix: str, *rest: object) -> None:
    """Take the width of the vectors from a state dict before it is loaded; a new quantizer does not know it."""
    for name in ("codebooks", "prices"):
        if f"{prefix}{name}" in state_dict:
            setattr(quantizer, name, torch.zeros_like(state_dict[f"{prefix}{name}"]))


def check_number(items: int, codes: int) -> None:
    """Raise an error if no quantizer with this many codes a level can be fitted to this many item vectors.

    Raises:
        DataError: there are fewer vectors than codes.
    """
    if items < codes:
        raise DataError(
            f"{codes} codes a level need at least as many item vectors, found {items}. Use fewer codes, for "
            f"instance clusters={max(items // 4, 1)}"
        )


def check_vectors(x: Float[Tensor, "N D"], codes: int) -> None:
    """Raise an error if no quantizer with this many codes a level can be fitted to the vectors.

    Raises:
        DataError: there are fewer vectors than codes, or a vector is not finite.
    """
    check_number(x.shape[0], codes)
    finite = x.isfinite().all(-1)
    if not bool(finite.all()):
        row = int((~finite).nonzero()[0])
        raise DataError(f"the vector of item {row} is not finite. Check the item encoder and its input")


def squared_distances(x: Float[Tensor, "N D"], centroids: Float[Tensor, "K D"]) -> Float[Tensor, "N K"]:
    """Return the squared distances ‖x_n − c_k‖², `[N, K]`; rounding never makes them negative.

    >>> squared_distances(torch.tensor([[0.0, 3.0]]), torch.tensor([[0.0, 3.0], [4.0, 0.0]]))
    tensor([[ 0., 25.]])
    """
    squared = x.square().sum(-1, keepdim=True) + centroids.square().sum(-1)
    return squared.addmm_(x, centroids.T, alpha=-2).clamp_(min=0)


class ResidualKMeans(ResidualQuantizer):
    """A residual quantizer with plain k-means at each level. Codes may have very different numbers of items.

    Args:
        levels: number of levels `L`.
        codes: number of codes `K` of each level.
        iterations: rounds of k-means of each level.

    Source: RQ-Kmeans of the OneRec Technical Report (arXiv 2506.13695), section 2.1.
    """

    def __init__(self, levels: int = 3, codes: int = 256, iterations: int = 25) -> None:
        super().__init__(FaissClusterer(iterations), levels, codes)


class FaissClusterer(Clusterer):
    """FAISS k-means on the residuals of one level, on the CPU.

    Args:
        iterations: rounds of assignment and averaging.
    """

    def __init__(self, iterations: int = 25) -> None:
        at_least(1, iterations=iterations)
        self.iterations = iterations

    @override
    def __call__(self, x: Float[Tensor, "N D"], codes: int, generator: torch.Generator) -> Clusters:
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
