from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.items.residual_kmeans import FaissClusterer, ResidualKMeans


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
