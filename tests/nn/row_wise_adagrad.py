"""Adagrad with one accumulator a row of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override


class RowWiseAdagrad(Optimizer):
    """Adagrad that accumulates one number a row: `G_i += mean_d g_id²`, `w_i −= η · g_i / (√G_i + ε)`.

    Its state takes 1/`D` of the memory of Adagrad's. Rows with gradient 0 do not change. It is the reference for
    the fused update of torchrec's tables.

    Source: FBGEMM's exact row-wise Adagrad; Gupta et al. 2014 for the idea.

    >>> table = torch.nn.Parameter(torch.zeros(2, 2))
    >>> table.grad = torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    >>> RowWiseAdagrad([table], lr=1.0).step()
    >>> [round(value, 4) for value in table.flatten().tolist()]
    [-1.3416, -0.4472, 0.0, 0.0]

    Args:
        params: tables, `[rows, D]`.
        lr: learning rate `η`.
        eps: `ε`, added to the root of the accumulator.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 0.01, eps: float = 1e-10) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})

    @override
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the tables that have a gradient. Return the result of the closure, or None."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                state = self.state[table]
                if not state:
                    state["sum"] = table.new_zeros(table.shape[0], 1)
                state["sum"] += table.grad.square().mean(-1, keepdim=True)
                table.addcdiv_(table.grad, state["sum"].sqrt() + group["eps"], value=-group["lr"])
        return loss
