"""Sizes differ by one at most, the result is a fixed point, planted clusters are found."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.items.balanced_kmeans import BalancedClusterer, BalancedKMeans, spread_seeds
from recsys.items.quantizer import bucket_of
from recsys.items.residual_quantizer import squared_distances

Planted = tuple[Float[Tensor, "N D"], Int[Tensor, "N L"]]


def blob(rows: int = 211, width: int = 6) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(4)) * torch.arange(1, width + 1)


def same_partition(one: Tensor, other: Tensor) -> bool:
    pairs = torch.stack([one, other], -1).unique(dim=0)
    return len(pairs) == len(one.unique()) == len(other.unique())


@pytest.mark.parametrize("codes", [1, 2, 16, 211])
def test_sizes_differ_by_one_at_most(codes: int, generator: torch.Generator) -> None:
    quantizer = BalancedKMeans(levels=1, codes=codes)
    sizes = quantizer.fit_encode(blob(), generator)[:, 0].bincount(minlength=codes)
    assert sizes.min() == 211 // codes and sizes.max() - sizes.min() <= 1


def test_every_level_is_balanced(generator: torch.Generator) -> None:
    codes = BalancedKMeans(levels=3, codes=10).fit_encode(blob(), generator)
    for level in range(3):
        assert set(codes[:, level].bincount().tolist()) == {21, 22}


def test_its_own_result_is_a_fixed_point(generator: torch.Generator) -> None:
    x = blob().double()
    clusterer = BalancedClusterer()
    once = clusterer(x, 16, generator)
    again = clusterer.refine(x, once.centroids, once.prices)
    assert torch.equal(again.codes, once.codes)
    assert torch.allclose(again.centroids, once.centroids) and torch.allclose(again.prices, once.prices)
    for code in range(16):
        assert torch.allclose(once.centroids[code], x[once.codes == code].mean(0))


def test_planted_clusters_are_found_at_both_levels(planted: Planted, generator: torch.Generator) -> None:
    x, expected = planted
    coarse = BalancedKMeans(levels=1, codes=8).fit_encode(x, generator)[:, 0]
    assert same_partition(coarse, expected[:, 0])
    fine = BalancedKMeans(levels=1, codes=32).fit_encode(x, generator)[:, 0]
    assert same_partition(fine, bucket_of(expected))


def test_prices_reproduce_the_fitted_codes_and_centroids_keep_theirs(generator: torch.Generator) -> None:
    x = blob()
    quantizer = BalancedKMeans(levels=2, codes=16)
    codes = quantizer.fit_encode(x, generator)
    assert torch.equal(quantizer.encode(x), codes)
    nearest = squared_distances(x.double(), quantizer.codebooks[0]).argmin(-1)
    assert not torch.equal(nearest, codes[:, 0])
    first = BalancedKMeans(levels=1, codes=16).fit(x, generator)
    every = torch.arange(16).unsqueeze(-1)
    assert torch.equal(first.encode(first.decode(every)), every)


def test_equal_vectors_are_dealt_out(generator: torch.Generator) -> None:
    x = torch.cat([torch.zeros(30, 4), blob(10, 4)])
    quantizer = BalancedKMeans(levels=1, codes=8)
    assert quantizer.fit_encode(x, generator)[:, 0].bincount().tolist() == [5] * 8
    assert len(quantizer.encode(x[:30]).unique()) == 1


def test_one_round_is_enough_of_an_option_to_matter() -> None:
    def error(iterations: int) -> float:
        quantizer = BalancedKMeans(codes=16, iterations=iterations)
        codes = quantizer.fit_encode(blob(), torch.Generator().manual_seed(0))
        return float((blob() - quantizer.decode(codes)).square().sum())

    assert error(20) < error(1) < error(0)


def test_seeds_are_far_apart(planted: Planted, generator: torch.Generator) -> None:
    x, expected = planted
    seeds = spread_seeds(x, 8, generator)
    rows = squared_distances(seeds, x).argmin(-1)
    assert sorted(expected[rows, 0].tolist()) == list(range(8))
    assert spread_seeds(torch.ones(5, 2), 3, generator).shape == (3, 2)


def test_new_vectors_get_the_nearest_centroids_whatever_the_balance(generator: torch.Generator) -> None:
    quantizer = BalancedKMeans(levels=2, codes=16).fit(blob(), generator)
    new = torch.randn(500, 6, generator=torch.Generator().manual_seed(11)) * torch.arange(1, 7)
    codes, residual = quantizer.nearest(new), new.double()
    for level in range(2):
        nearest = torch.cdist(residual, quantizer.codebooks[level]).argmin(-1)
        assert torch.equal(codes[:, level], nearest)
        residual = residual - quantizer.codebooks[level][nearest]
    assert not torch.equal(codes, quantizer.encode(new)), "prices are for fitted vectors"
