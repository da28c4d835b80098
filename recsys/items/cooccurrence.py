"""Compute item vectors from the co-occurrence of items in users' histories (PPMI and SVD)."""

from __future__ import annotations

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from scipy import sparse
from sklearn.utils.extmath import randomized_svd
from torch import Tensor
from torch.nn.functional import normalize
from typing_extensions import override

from recsys.errors import DataError
from recsys.items.encoder import ItemEncoder
from recsys.ranges import above, at_least, within
from recsys.types.jagged import Jagged


class PpmiSvd(ItemEncoder):
    """Item vectors by truncated singular value decomposition (SVD) of positive pointwise mutual information (PPMI).

        M[i, j] = max(0, log( P(i, j) / (P(i) · P_s(j)) ) − log shift)  ≈  U S Vᵀ,    vectors = U √S

    `P(i, j)` is the share of co-occurring pairs that are `(i, j)`, `P(i)` the sum of its row, and
    `P_s(j) ∝ P(j)^smoothing`. An item without co-occurrences gets the zero vector. The item table is not read.

    Args:
        dimensions: width `D` of the vectors. If the catalogue or the rank is smaller, the last columns are zero.
        window: two items of a history co-occur if they are at most this many positions apart; None means anywhere in
            the history. The cost is `ΣT · window`, or `ΣT²` for None. Narrow windows give clusters that predict the
            next item better.
        shift: `k ≥ 1`. Larger values drop weak associations; 1 keeps all positive ones.
        smoothing: exponent in (0, 1] of the context distribution. Values below 1 reduce the weight of rare items.
        normalise: whether vectors other than zero are scaled to length 1.

    Raises:
        DataError: by `encode`, if no history holds two different items.

    Source: Levy and Goldberg 2014 (shifted PPMI and its SVD, sections 3 and 5); Levy, Goldberg and Dagan 2015
    (context distribution smoothing, √S, section 3).
    """

    def __init__(
        self,
        dimensions: int = 64,
        window: int | None = 5,
        shift: float = 1.0,
        smoothing: float = 0.75,
        normalise: bool = True,
    ) -> None:
        at_least(1, dimensions=dimensions, window=1 if window is None else window, shift=shift)
        above(0, smoothing=smoothing)
        within(0, 1, smoothing=smoothing)
        self.dimensions = dimensions
        self.window = window
        self.shift = shift
        self.smoothing = smoothing
        self.normalise = normalise

    @override
    def encode(
        self, items: pl.DataFrame, sequences: Jagged, num_items: int, generator: torch.Generator
    ) -> Float[Tensor, "N D"]:
        counts = cooccurrences(sequences, num_items, self.window)
        if counts.nnz == 0:
            raise DataError(
                "no history holds two different items; co-occurrence vectors need longer histories. Use a text encoder"
            )
        information = positive_information(counts, self.shift, self.smoothing)
        seed = int(torch.randint(2**31 - 1, (1,), generator=generator))
        rank = min(self.dimensions, num_items)
        left, values, _ = randomized_svd(
            information,
            n_components=rank,
            n_iter=8,  # pyright: ignore[reportArgumentType]  (inferred from the default "auto")
            random_state=seed,
        )
        vectors = torch.zeros(num_items, self.dimensions)
        vectors[:, :rank] = torch.from_numpy(left * np.sqrt(values))
        return normalize(vectors, dim=-1) if self.normalise else vectors


def cooccurrences(sequences: Jagged, num_items: int, window: int | None) -> sparse.csr_array:
    """Return the number of times that two different items co-occur in a history, `[N, N]`, symmetric.

    Args:
        sequences: items, one row a history.
        num_items: number of items `N`.
        window: the most positions between two items that co-occur; None counts every pair of positions of a history.

    >>> cooccurrences(Jagged.from_rows([[0, 1, 2], [0, 1]]), 3, window=1).toarray()
    array([[0., 2., 0.],
           [2., 0., 1.],
           [0., 1., 0.]], dtype=float32)
    """
    values, rows = sequences.values.cpu().numpy(), sequences.row_ids().cpu().numpy()
    shape = (num_items, num_items)
    if window is None:
        ones = np.ones(values.size, dtype=np.float32)
        table = sparse.csr_array((ones, (rows, values)), shape=(len(sequences), num_items))
        counts = sparse.csr_array(table.T @ table)
    else:
        counts = sparse.csr_array(shape, dtype=np.float32)
        for apart in range(1, min(window, max(values.size - 1, 0)) + 1):
            together = np.flatnonzero(rows[apart:] == rows[:-apart])
            pair = (values[together], values[together + apart])
            pairs = sparse.csr_array((np.ones(together.size, dtype=np.float32), pair), shape=shape)
            counts = counts + pairs + pairs.T
    counts.setdiag(0)
    counts.eliminate_zeros()
    return counts


def positive_information(counts: sparse.csr_array, shift: float, smoothing: float) -> sparse.csr_array:
    """Return the shifted positive pointwise mutual information `[N, N]`, in nats, of co-occurrence counts.

    The formula is in `PpmiSvd`; `counts` are the pairs, `shift` and `smoothing` its options.

    >>> counts = sparse.csr_array(np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    >>> positive_information(counts, shift=1.0, smoothing=1.0).toarray().round(4)
    array([[0.    , 0.6931, 0.6931],
           [0.6931, 0.    , 0.    ],
           [0.6931, 0.    , 0.    ]])
    """
    pairs = counts.tocoo()
    row_share = counts.sum(1) / counts.sum()
    smoothed = counts.sum(0) ** smoothing
    context_share = smoothed / smoothed.sum()
    joint = pairs.data / counts.sum()
    information = np.log(joint / (row_share[pairs.row] * context_share[pairs.col])) - np.log(shift)
    positive = sparse.csr_array((np.maximum(information, 0), (pairs.row, pairs.col)), shape=counts.shape)
    positive.eliminate_zeros()
    return positive
