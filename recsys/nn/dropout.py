"""Dropout that uses 16 random bits a value."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

_STEPS = 1 << 16


class Dropout(nn.Module):
    """Dropout: in training, each value is 0 with the given probability, and the others are scaled to keep the mean.

    On a CPU, one 64-bit number of torch's default generator decides four values. The mask takes a third of the time of
    `nn.Dropout`'s, and a training step of a small transformer a sixth less. On other devices this is `nn.Dropout`.

    >>> Dropout(0.5).eval()(torch.ones(3))
    tensor([1., 1., 1.])

    Args:
        probability: probability of 0, in `[0, 1)`. On a CPU it is rounded to a multiple of `2^−16`.
    """

    def __init__(self, probability: float = 0.0) -> None:
        super().__init__()
        if not 0 <= probability < 1:
            raise ValueError(f"found a dropout probability of {probability}, expected one in [0, 1)")
        self.probability = probability

    @override
    def forward(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return `x ⊙ mask / (1 − probability)` in training mode, and `x` in evaluation mode."""
        dropped = round(self.probability * _STEPS)
        if not self.training or dropped == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.probability)
        draws = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - _STEPS // 2
        return x * kept.view(torch.uint8).to(x.dtype).mul_(_STEPS / (_STEPS - dropped))

    @override
    def extra_repr(self) -> str:
        return f"probability={self.probability}"
