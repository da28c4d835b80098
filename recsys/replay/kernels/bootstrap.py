"""Totals of Poisson bootstrap replicates, the counts made from a hash as they are needed."""

from __future__ import annotations

import numpy as np

from recsys.replay.kernels.compiled import compiled, inlined

GROUP = 64
WORDS = GROUP // 4
UNITS = 16
THRESHOLDS = (41427, 17317, 5263, 1244, 240, 39, 5, 1)
"""`65536 P(N ≥ k)`, `k = 1 … 8`, `N` Poisson with mean 1, rounded so that they sum to 65536: the mean is exactly 1."""

T1, T2, T3, T4, T5, T6, T7, T8 = (np.uint16(threshold) for threshold in THRESHOLDS)
STEP = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
R32, R30, R29, R27, R31 = (np.uint64(shift) for shift in (32, 30, 29, 27, 31))


@inlined
def mixed(word: np.uint64) -> np.uint64:
    """64 bits each of which depends on all of the word's: SplitMix64's finaliser."""
    word = (word ^ (word >> R30)) * FIRST
    word = (word ^ (word >> R27)) * SECOND
    return word ^ (word >> R31)


@inlined
def drawn(base: np.uint64, place: np.uint64) -> np.uint64:
    """64 bits of a unit's stream, at a place in it; as its base is mixed, one round does."""
    word = base + place * STEP
    word = (word ^ (word >> R32)) * FIRST
    return word ^ (word >> R29)


@compiled
def group_totals(unit: np.ndarray, terms: np.ndarray, seed: int, group: int, fours: int) -> np.ndarray:
    """`[k, 4 fours]`, `Σ N t` in the replicates that begin at `64 group`.

    A replicate's count `N` of a unit is how many of the thresholds lie above 16 bits of a hash of seed, unit and
    replicate. Terms that are 0 add nothing and are passed over.

    Args:
        unit: `[n]`, of each row.
        terms: `[n, k]`, of each row.
        seed: of the hash.
        group: from 0.
        fours: a quarter of how many replicates, at most 16.
    """
    key = mixed(np.uint64(seed) + STEP)
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
            base = mixed(np.uint64(rows[i]) ^ key)
            row = words[i]
            for j in range(fours):
                row[j] = drawn(base, offset + np.uint64(j))
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
