"""The position-wise half of a transformer block."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from recsys.nn.dropout import Dropout


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
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.out(self.dropout(F.silu(gate) * up))
