"""Sums of the standard terms of rounds and of their products, in one pass over what is logged."""

from __future__ import annotations

import numpy as np

from recsys.replay.kernels.compiled import compiled

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
    """`[5, 5]`, `Σ t tᵀ` of `t = (1, w, w r, Σ_a π q, w (r − q))`; as the first term is 1, the first row is `Σ t`.

    Args:
        numerator: `[n]`.
        denominator: `[n]`; `w` is their ratio.
        reward: `[n]`.
        action: `[n]`; None where there is no reward model: `q` is then 0.
        target_all: `[n, A]` or None.
        predicted_all: `[n, A]` or None.
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
    """What the policy to be judged is expected to earn, and what the logged action was."""
    for i in range(len(action)):
        value = 0.0
        for j in range(target_all.shape[1]):
            value += np.float64(target_all[i, j]) * np.float64(predicted_all[i, j])
        expected[i] = value
        predicted[i] = predicted_all[i, action[i]]
