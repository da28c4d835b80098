"""How well scores order outcomes."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

BLOCK = 1024
"""Rows that are compared with all others at once."""


def concordance(score: Float[Tensor, " n"], outcome: Float[Tensor, " n"]) -> float:
    """Return the share of pairs with different outcomes that the scores order rightly; equal scores count one half.

    For outcomes 0 and 1 this is the area under the ROC curve (AUC). NaN if all outcomes are equal.

    Args:
        score: what is judged.
        outcome: what happened, on any scale.

    >>> import torch
    >>> concordance(torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0.0, 0.0, 1.0, 1.0]))
    0.75
    """
    right = pairs = 0.0
    for scores, outcomes in zip(score.split(BLOCK), outcome.split(BLOCK), strict=True):
        better = outcomes.unsqueeze(1) > outcome
        ahead = (scores.unsqueeze(1) > score).double() + 0.5 * (scores.unsqueeze(1) == score).double()
        right += float(ahead[better].sum())
        pairs += float(better.sum())
    return right / pairs if pairs else float("nan")
