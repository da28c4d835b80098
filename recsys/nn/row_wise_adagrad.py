"""Adagrad with one accumulator a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class RowWiseAdagrad(Optimizer):
    """Adagrad that keeps one number a row of a table: `G_i += mean_d g_id²`, `w_i −= η · g_i / (√G_i + ε)`.

    A `D`-th of Adagrad's memory. Rows without a gradient stay as they are. The reference for the fused update of
    `recsys.nn.embedding.FusedEmbedding`. Source: FBGEMM's exact row-wise Adagrad; Gupta et al. 2014 for the idea.

    >>> table = torch.nn.Parameter(torch.zeros(2, 2))
    >>> table.grad = torch.tensor([[3.0, 1.0], [0.0, 0.0]])
    >>> RowWiseAdagrad([table], lr=1.0).step()
    >>> [round(value, 4) for value in table.flatten().tolist()]
    [-1.3416, -0.4472, 0.0, 0.0]

    Args:
        params: tables, `[rows, D]`.
        lr: `η`.
        eps: `ε`.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 0.01, eps: float = 1e-10) -> None:
        super().__init__(params, {"lr": lr, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step from the gradients that are there; returns what the closure returned."""
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
