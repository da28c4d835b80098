"""Feed-forward networks of transformer blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from recsys.nn.dropout import Dropout

FeedForward = Callable[[int], nn.Module]
"""A function from the width `D` to the feed-forward network of one block, a module from `[…, D]` to `[…, D]`."""


class SwiGLU(nn.Module):
    """The gated feed-forward network `W_out (silu(W_gate x) ⊙ W_up x)`, without biases.

    `gate_up` holds `W_gate` above `W_up`. Source: Shazeer 2020, "GLU Variants Improve Transformer"; with the weights of
    T5 it is the `gated-silu` of T5 1.1.

    >>> sum(weight.numel() for weight in SwiGLU(width=4, hidden=8).parameters())
    96

    Args:
        width: width `D` of input and output.
        hidden: width between the two maps. None means `8/3 · width`, rounded up to a multiple of 16, which gives as
            many parameters as an ungated network of width `4 · width`.
        dropout: probability of dropping a hidden value, in `[0, 1)`.
    """

    def __init__(self, width: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = hidden if hidden is not None else -(-8 * width // (3 * 16)) * 16
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)
        self.dropout = Dropout(dropout)

    @override
    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        return self.out(self.dropout(SwiGLUFunction.apply(self.gate_up(x))))


class SwiGLUFunction(torch.autograd.Function):
    """The function `silu(gate) ⊙ up` of the concatenation `[gate, up]`, with a gradient in the same layout.

    Autograd would take two more passes over memory for the two halves, which is slow on a CPU. The gradient is
    `grad ⊙ up ⊙ silu'(gate)` for `gate` and `grad ⊙ silu(gate)` for `up`.
    """

    @override
    @staticmethod
    def forward(ctx: Any, gate_up: Float[Tensor, "... two_H"]) -> Float[Tensor, "... H"]:
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @override
    @staticmethod
    def backward(ctx: Any, *grad_outputs: Float[Tensor, "... H"]) -> Float[Tensor, "... two_H"]:
        (grad,) = grad_outputs
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, -1)
        result = torch.empty_like(gate_up)
        of_gate, of_up = result.chunk(2, -1)
        torch.mul(grad, F.silu(gate), out=of_up)
        torch.mul(grad, up, out=of_gate)
        torch.ops.aten.silu_backward.grad_input(of_gate, gate, grad_input=of_gate)
        return result
