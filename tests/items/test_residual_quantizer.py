"""The error falls with the level, decoded vectors keep their codes."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.residual_quantizer import (
    Clusters,
    FaissClusterer,
    ResidualKMeans,
    ResidualQuantizer,
    squared_distances,
)


def grid_clusterer(x: Tensor, codes: int, generator: torch.Generator) -> Clusters:
    """Codewords 0, 1 … on a line, scaled down to the spread of what is left."""
    scale = 1.0 if x.abs().max() > 1 else 0.1
    centroids = scale * torch.arange(codes, dtype=x.dtype).unsqueeze(-1)
    prices = torch.zeros(codes, dtype=x.dtype)
    return Clusters(centroids, prices, squared_distances(x, centroids).argmin(-1))


def test_exact_codes_with_hand_written_centroids(generator: torch.Generator) -> None:
    quantizer = ResidualQuantizer(grid_clusterer, levels=2, codes=5)
    codes = quantizer.fit_encode(torch.tensor([[3.2], [0.1], [1.4], [4.0], [2.0]]), generator)
    assert codes.tolist() == [[3, 2], [0, 1], [1, 4], [4, 0], [2, 0]]
    assert torch.allclose(quantizer.decode(codes).squeeze(), torch.tensor([3.2, 0.1, 1.4, 4.0, 2.0]))
    assert quantizer.decode(codes[:, :1]).squeeze().tolist() == [3, 0, 1, 4, 2]
    assert quantizer.encode(torch.tensor([[2.31]])).tolist() == [[2, 3]]


def test_prices_move_the_border(generator: torch.Generator) -> None:
    quantizer = ResidualQuantizer(grid_clusterer, levels=1, codes=3).fit(torch.tensor([[0.0], [1.0], [2.0]]), generator)
    assert quantizer.encode(torch.tensor([[0.4]])).item() == 0
    quantizer.prices[0, 0] = 0.3
    assert quantizer.encode(torch.tensor([[0.4]])).item() == 1


def test_error_falls_and_codes_survive_decoding(
    planted: tuple[Float[Tensor, "N D"], Int[Tensor, "N L"]], generator: torch.Generator
) -> None:
    x, _ = planted
    for quantizer in (ResidualKMeans(2, 8), BalancedKMeans(2, 8)):
        codes = quantizer.fit_encode(x, generator)
        coarse, fine = (float((x - quantizer.decode(codes[:, :level])).square().sum(-1).mean()) for level in (1, 2))
        assert fine < coarse < float((x - x.mean(0)).square().sum(-1).mean())
        assert torch.equal(quantizer.encode(quantizer.decode(codes)), codes)


def test_squared_distances_agree_with_the_definition() -> None:
    x, centroids = torch.randn(7, 3), torch.randn(4, 3)
    expected = (x.unsqueeze(1) - centroids).square().sum(-1)
    assert torch.allclose(squared_distances(x, centroids), expected, atol=1e-5)
    assert (squared_distances(x, x).diagonal() >= 0).all()


def test_planted_clusters_are_found(
    planted: tuple[Float[Tensor, "N D"], Int[Tensor, "N L"]], generator: torch.Generator
) -> None:
    x, expected = planted
    clusters = FaissClusterer(iterations=25)(x.double(), 24, generator)
    pairs = torch.stack([clusters.codes, expected[:, 0]], -1).unique(dim=0)
    assert len(pairs) == 24
    assert torch.equal(clusters.prices, torch.zeros(24, dtype=torch.float64))


def test_sizes_follow_the_data(generator: torch.Generator) -> None:
    x = torch.tensor([[0.0]] * 9 + [[10.0]])
    assert sorted(ResidualKMeans(levels=1, codes=2).fit_encode(x, generator)[:, 0].bincount().tolist()) == [1, 9]


def test_more_iterations_do_not_do_worse() -> None:
    x = torch.randn(300, 4, generator=torch.Generator().manual_seed(0))

    def error(iterations: int) -> float:
        quantizer = ResidualKMeans(1, 12, iterations=iterations).fit(x, torch.Generator().manual_seed(1))
        return float((x - quantizer.decode(quantizer.encode(x))).square().sum())

    assert error(30) < error(1)
