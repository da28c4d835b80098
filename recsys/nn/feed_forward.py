"""The feed-forward networks of transformer blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from recsys.nn.dropout import Dropout

FeedForward = Callable[[int], nn.Module]
"""Makes the feed-forward network of one block from its width `D`: a module from `[…, D]` to `[…, D]`."""


class SwiGLU(nn.Module):
    """Gated feed-forward network `W_out (silu(W_gate x) ⊙ W_up x)`, without biases.

    Source: Shazeer 2020, "GLU Variants Improve Transformer"; with T5's weights it is T5 1.1's `gated-silu`.

    >>> sum(weight.numel() for weight in SwiGLU(width=4, hidden=8).parameters())
    96

    Args:
        width: `D`, of input and output.
        hidden: width between the two maps; None takes `8/3 · width` rounded up to a multiple of 16, as many
            parameters as an ungated network of `4 · width`.
        dropout: probability of dropping a hidden value, in `[0, 1)`.
    """

    def __init__(self, width: int, hidden: int | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = hidden if hidden is not None else -(-8 * width // (3 * 16)) * 16
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)
        self.dropout = Dropout(dropout)

    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Each position on its own; `gate_up` holds `W_gate` above `W_up`."""
        return self.out(self.dropout(SwiGLUFunction.apply(self.gate_up(x))))


class SwiGLUFunction(torch.autograd.Function):
    """`silu(gate) ⊙ up` of `[gate, up]` side by side, its gradient written side by side too.

    What autograd would do with two halves costs two more passes over memory, which a CPU waits for.
    """

    @staticmethod
    def forward(ctx: Any, gate_up: Float[Tensor, "... two_H"]) -> Float[Tensor, "... H"]:
        """See the class."""
        ctx.save_for_backward(gate_up)
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Float[Tensor, "... H"]) -> Float[Tensor, "... two_H"]:
        """`grad ⊙ up ⊙ silu'(gate)` beside `grad ⊙ silu(gate)`."""
        (grad,) = grad_outputs
        (gate_up,) = ctx.saved_tensors
        gate, up = gate_up.chunk(2, -1)
        result = torch.empty_like(gate_up)
        of_gate, of_up = result.chunk(2, -1)
        torch.mul(grad, F.silu(gate), out=of_up)
        torch.mul(grad, up, out=of_gate)
        torch.ops.aten.silu_backward.grad_input(of_gate, gate, grad_input=of_gate)
        return result
