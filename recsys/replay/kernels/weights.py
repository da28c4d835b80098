"""Weights counted by size, in one pass."""

from __future__ import annotations

import numpy as np

from recsys.replay.kernels.compiled import compiled

SMALLEST, LARGEST = -64, 63
SHIFT, BIAS = np.int64(52), np.int64(1023)


@compiled
def by_size(weight: np.ndarray) -> tuple[np.ndarray, float]:
    """`[129, 3]`: count, `Σ w` and `Σ w²` of the weights that are 0, then of those of each size.

    A size is `⌊log₂ |w|⌋`, read from the exponent, in −64 … 63; what lies beyond is counted at the ends.
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
