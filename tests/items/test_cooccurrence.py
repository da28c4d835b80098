from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.errors import DataError
from recsys.items.cooccurrence import PpmiSvd, cooccurrences, positive_information
from recsys.types.jagged import Jagged

HISTORIES = [[0, 1, 2, 1], [3], [], [2, 0]]


def counted(histories: list[list[int]], window: int | None) -> np.ndarray:
    counts = np.zeros((4, 4))
    for history in histories:
        for i, one in enumerate(history):
            for j, other in enumerate(history):
                counts[one, other] += one != other and (window is None or abs(i - j) <= window)
    return counts


@pytest.mark.parametrize("window", [1, 2, 3, 50, None])
def test_pairs_counted_one_by_one(window: int | None) -> None:
    counts = cooccurrences(Jagged.from_rows(HISTORIES), 4, window)
    assert np.array_equal(counts.toarray(), counted(HISTORIES, window))


@pytest.mark.parametrize(("shift", "smoothing"), [(1.0, 1.0), (1.0, 0.75), (2.0, 0.75)])
def test_information_by_the_formula(shift: float, smoothing: float) -> None:
    counts = cooccurrences(Jagged.from_rows(HISTORIES), 4, window=1)
    share = counts.toarray() / counts.sum()
    context = share.sum(0) ** smoothing / (share.sum(0) ** smoothing).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = np.log(share / (share.sum(1)[:, None] * context)) - np.log(shift)
    expected = np.maximum(np.nan_to_num(expected, nan=0, neginf=0), 0)
    assert np.allclose(positive_information(counts, shift, smoothing).toarray(), expected, atol=1e-6)


def encode(histories: list[list[int]], num_items: int, seed: int = 0, **options: float | None) -> Tensor:
    encoder = PpmiSvd(**{"dimensions": 4, **options})  # pyright: ignore[reportArgumentType]
    generator = torch.Generator().manual_seed(seed)
    return encoder.encode(pl.DataFrame(), Jagged.from_rows(histories), num_items, generator)


TWO_WORLDS = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [3, 4, 5], [5, 3, 4], [4, 5, 3]] * 2


def test_items_of_one_world_point_one_way() -> None:
    vectors = encode(TWO_WORLDS, 6, dimensions=2)
    together = torch.block_diag(torch.ones(3, 3), torch.ones(3, 3))
    assert torch.allclose(vectors @ vectors.T, together, atol=1e-5)


def test_inner_products_without_normalising_rebuild_a_positive_matrix() -> None:
    counts = cooccurrences(Jagged.from_rows(TWO_WORLDS), 6, None)
    information = torch.from_numpy(positive_information(counts, 1.0, 1.0).toarray()).float()
    left, values, _ = torch.linalg.svd(information)
    vectors = encode(TWO_WORLDS, 6, dimensions=6, smoothing=1.0, normalise=False)
    assert torch.allclose(vectors @ vectors.T, left @ values.diag() @ left.T, atol=1e-4)


def test_unknown_items_and_spare_columns_are_zero() -> None:
    vectors = encode([*TWO_WORLDS, [7]], 8, dimensions=10)
    assert vectors.shape == (8, 10) and vectors.dtype == torch.float32
    assert not vectors[6:].any() and not vectors[:, 8:].any()
    assert vectors.isfinite().all()


def test_equal_seeds_give_equal_vectors() -> None:
    random = torch.randint(0, 30, (40, 6), generator=torch.Generator().manual_seed(0)).tolist()
    assert torch.equal(encode(random, 30, seed=1), encode(random, 30, seed=1))


def test_refuses_histories_without_a_pair() -> None:
    with pytest.raises(DataError, match="no history holds two different items"):
        encode([[1], [2, 2], []], 4)
