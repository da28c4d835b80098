"""Positions as a rotation of queries and keys."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Rotary(nn.Module):
    """Rotary positions: turns each pair `(i, i + d/2)` of a query or key by the angle `t · base^(−2i/d)`.

    The inner product of a turned query and key depends on the distance of their positions only.
    Source: Su et al. 2021, "RoFormer", §3.2.

    >>> turned = Rotary(width=2)(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    >>> [round(value, 4) for value in turned[1].tolist()]
    [0.5403, 0.8415]

    Args:
        width: `d`, of one head; even.
        base: ratio of the slowest wavelength to the fastest.
    """

    rate: Tensor

    def __init__(self, width: int, base: float = 10_000.0) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"rotary positions turn pairs: the head width must be even, not {width}")
        rate = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
        self.register_buffer("rate", rate, persistent=False)

    def forward(self, x: Float[Tensor, "... T d"], start: int = 0) -> Float[Tensor, "... T d"]:
        """`x` with position `start + t` in its row `t`."""
        steps = torch.arange(start, start + x.shape[-2], device=x.device, dtype=self.rate.dtype)
        angle = torch.outer(steps, self.rate)
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        left, right = x.chunk(2, -1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)
