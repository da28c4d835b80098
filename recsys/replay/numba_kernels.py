"""Loops compiled by numba: bootstrap totals, products of standard terms and weight histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap
from typing import Any, TypeVar

import numba
import numpy as np
import torch

Piece = TypeVar("Piece")
Made = TypeVar("Made")


def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loop as machine code, cached on disk where possible; it releases the global interpreter lock.

    Sums may be reordered, so that they are vectorised; numbers that are not finite are respected.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}
    try:
        return numba.njit(cache=True, **options)(unwrap(loop))
    except RuntimeError:
        return numba.njit(**options)(unwrap(loop))


def inlined(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Return a formula that is inlined into each loop that uses it."""
    return numba.njit(inline="always")(unwrap(formula))


def in_parallel(work: Callable[[Piece], Made], pieces: Iterable[Piece]) -> list[Made]:
    """Return the result of `work` for each piece, in the order of the pieces, computed by as many threads as torch has.

    >>> in_parallel(lambda piece: 2 * piece, [1, 2, 3])
    [2, 4, 6]
    """
    pieces = list(pieces)
    threads = min(torch.get_num_threads(), len(pieces))
    if threads < 2:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pieces))


GROUP = 64
WORDS = GROUP // 4
UNITS = 16
THRESHOLDS = (41427, 17317, 5263, 1244, 240, 39, 5, 1)
"""`65536 P(N ≥ k)` for `k = 1 … 8`, with `N` Poisson with mean 1, rounded to the sum 65536: the mean is exactly 1."""

T1, T2, T3, T4, T5, T6, T7, T8 = (np.uint16(threshold) for threshold in THRESHOLDS)
STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
R32, R30, R29, R27, R31 = (np.uint64(shift) for shift in (32, 30, 29, 27, 31))


@inlined
def mix_bits(word: np.uint64) -> np.uint64:
    """Return 64 bits each of which depends on all bits of a word (the finaliser of SplitMix64)."""
    word = (word ^ (word >> R30)) * FIRST
    word = (word ^ (word >> R27)) * SECOND
    return word ^ (word >> R31)


@inlined
def stream_bits(base: np.uint64, place: np.uint64) -> np.uint64:
    """Return 64 bits of a unit's stream at a place in it; one round of mixing suffices, since `base` is mixed."""
    word = base + place * STEP
    word = (word ^ (word >> R32)) * FIRST
    return word ^ (word >> R29)


@compiled
def group_totals(unit: np.ndarray, terms: np.ndarray, seed: int, group: int, fours: int) -> np.ndarray:
    """Return `[k, 4 fours]`, `Σ N t` in the replicates from `64 group` on.

    The count `N` of a unit in a replicate is the number of thresholds above 16 bits of a hash of seed, unit and
    replicate. Terms that are 0 are skipped.

    Args:
        unit: `[n]`, unit of each row.
        terms: `[n, k]`, terms of each row.
        seed: seed of the hash.
        group: number of the group of 64 replicates, from 0.
        fours: a quarter of the number of replicates of the group, at most 16.
    """
    key = mix_bits(np.uint64(seed) + STEP)
    offset = np.uint64(group) * np.uint64(WORDS)
    width = 4 * fours
    totals = np.zeros((terms.shape[1], width))
    words = np.zeros((UNITS, fours), np.uint64)
    bits, counts = words.view(np.uint16).ravel(), np.zeros((UNITS, width), np.uint8)
    flat = counts.ravel()
    for start in range(0, len(unit), UNITS):
        stop = min(start + UNITS, len(unit))
        rows, values = unit[start:stop], terms[start:stop]
        for i in range(stop - start):
            base = mix_bits(np.uint64(rows[i]) ^ key)
            row = words[i]
            for j in range(fours):
                row[j] = stream_bits(base, offset + np.uint64(j))
        for i in range(UNITS * width):
            b = bits[i]
            low = np.uint8(b < T1) + np.uint8(b < T2) + np.uint8(b < T3) + np.uint8(b < T4)
            flat[i] = np.uint8(low + np.uint8(b < T5) + np.uint8(b < T6) + np.uint8(b < T7) + np.uint8(b < T8))
        for column in range(terms.shape[1]):
            total = totals[column]
            for i in range(stop - start):
                value = values[i, column]
                if value != 0:
                    count = counts[i]
                    for replicate in range(width):
                        total[replicate] += value * count[replicate]
    return totals


BLOCK = 256


@compiled
def standard_products(
    numerator: np.ndarray,
    denominator: np.ndarray,
    reward: np.ndarray,
    action: np.ndarray | None,
    target_all: np.ndarray | None,
    predicted_all: np.ndarray | None,
) -> np.ndarray:
    """Return `[5, 5]`, `Σ t tᵀ` of the terms `t = (1, w, w r, Σ_a π q, w (r − q))`; the first row is `Σ t`.

    Args:
        numerator: `[n]`, numerator of `w`.
        denominator: `[n]`, denominator of `w`.
        reward: `[n]`.
        action: `[n]`; None without a reward model: `q` is 0 then.
        target_all: `[n, A]`, or None.
        predicted_all: `[n, A]`, or None.
    """
    expected, predicted = np.zeros(BLOCK), np.zeros(BLOCK)
    w = x = e = s = ww = wx = we = ws = xx = xe = xs = ee = es = ss = 0.0
    for start in range(0, len(reward), BLOCK):
        stop = min(start + BLOCK, len(reward))
        if action is not None and target_all is not None and predicted_all is not None:
            _model(action[start:stop], target_all[start:stop], predicted_all[start:stop], expected, predicted)
        above, below, earned = numerator[start:stop], denominator[start:stop], reward[start:stop]
        for i in range(stop - start):
            weight = np.float64(above[i]) / np.float64(below[i])
            weighted = weight * np.float64(earned[i])
            value = expected[i]
            surprise = weight * (np.float64(earned[i]) - predicted[i])
            w += weight
            x += weighted
            e += value
            s += surprise
            ww += weight * weight
            wx += weight * weighted
            we += weight * value
            ws += weight * surprise
            xx += weighted * weighted
            xe += weighted * value
            xs += weighted * surprise
            ee += value * value
            es += value * surprise
            ss += surprise * surprise
    n = float(len(reward))
    return np.array(
        [[n, w, x, e, s], [w, ww, wx, we, ws], [x, wx, xx, xe, xs], [e, we, xe, ee, es], [s, ws, xs, es, ss]]
    )


@compiled
def _model(
    action: np.ndarray, target_all: np.ndarray, predicted_all: np.ndarray, expected: np.ndarray, predicted: np.ndarray
) -> None:
    """Write the predicted reward under the target policy, and that of the logged action, of each round."""
    for i in range(len(action)):
        value = 0.0
        for j in range(target_all.shape[1]):
            value += np.float64(target_all[i, j]) * np.float64(predicted_all[i, j])
        expected[i] = value
        predicted[i] = predicted_all[i, action[i]]


SMALLEST, LARGEST = -64, 63
SHIFT, BIAS = np.int64(52), np.int64(1023)


@compiled
def totals_by_size(weight: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the weight histogram `[129, 3]` of `WeightSummary`, and the largest `|w|`.

    A size is `⌊log₂ |w|⌋`, read from the exponent, in −64 … 63; smaller and larger weights are counted at the ends.
    """
    found = np.zeros((LARGEST - SMALLEST + 2, 3))
    size = np.abs(weight)
    exponent = size.view(np.int64)
    largest = 0.0
    for i in range(len(weight)):
        largest = max(largest, size[i])
        power = (exponent[i] >> SHIFT) - BIAS
        row = found[0 if size[i] == 0 else min(max(power, SMALLEST), LARGEST) - SMALLEST + 1]
        row[0] += 1
        row[1] += weight[i]
        row[2] += weight[i] * weight[i]
    return found, largest
