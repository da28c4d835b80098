"""Sparse mixtures of experts: feed-forward networks of which each position uses a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.distributed
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import SwiGLUFunction
from recsys.ranges import at_least, below_one


class MixtureOfExperts(nn.Module):
    """The sparse mixture `y = Σ_{i ∈ top-k} g_i FFN_i(x)` of gated feed-forward networks (`SwiGLU`).

    The router gives `s = softmax_i(⟨x, e_i⟩)`. The `k` experts with the largest `s_i + b_i` are computed, with weights
    `g_i = s_i`: gates are not renormalised and sum to less than 1, as in OneRec. `b` balances the load without a loss:
    after each training pass, `b_i` rises by `balance_rate` if expert `i` had fewer positions than the mean, and falls
    by it if it had more. `b` chooses experts only, and is no part of the gates; it is a buffer and lies in checkpoints.

    Positions are sorted by expert, and all experts are one grouped matrix product: the work is that of `k` networks of
    one position, whatever the number of experts.

    Sources: Deng et al. 2025 (OneRec, arXiv 2502.18965), §3.2, for the mixture; Wang et al. 2024 (arXiv 2408.15664),
    algorithm 1, for the balance, which the OneRec Technical Report (arXiv 2506.13695) uses.

    Args:
        width: width `D` of input and output, a multiple of 8.
        experts: number `N` of networks.
        active: number `k` of networks that a position uses, from 1 to `N`.
        hidden: hidden width of one expert, a multiple of 8.
        dropout: probability of dropping a hidden value, in `[0, 1)`.
        renormalised: whether the gates of a position are divided by their sum.
        balance_rate: step of the balancing bias, at least 0; 0 leaves the load to the router.

    Raises:
        ConfigurationError: a size is below 1 or no multiple of 8, or there are fewer experts than active ones.

    Attributes:
        balance: `[N]`, the bias `b`.
        load: `[N]`, number of positions of each expert in the last pass of a training, or zeros before the first.
        entropy: entropy of the router, mean over the positions of that pass, nats; log `N` is uniform.
    """

    balance: Tensor
    load: Tensor
    entropy: Tensor

    def __init__(
        self,
        width: int,
        experts: int = 24,
        active: int = 2,
        hidden: int = 256,
        dropout: float = 0.0,
        renormalised: bool = False,
        balance_rate: float = 1e-3,
    ) -> None:
        at_least(1, width=width, experts=experts, active=active, hidden=hidden)
        at_least(0, balance_rate=balance_rate)
        below_one(dropout=dropout)
        at_least(active, experts=experts)
        for name, size in {"width": width, "hidden": hidden}.items():
            if size % 8:
                raise ConfigurationError(f"{name}={size}: expected a multiple of 8, which grouped products need")
        super().__init__()
        self.active = active
        self.renormalised = renormalised
        self.balance_rate = balance_rate
        self.router = nn.Linear(width, experts, bias=False)
        self.gate_up = nn.Parameter(torch.empty(experts, width, 2 * hidden).uniform_(-1, 1) * width**-0.5)
        self.out = nn.Parameter(torch.empty(experts, hidden, width).uniform_(-1, 1) * hidden**-0.5)
        self.dropout = Dropout(dropout)
        self.register_buffer("balance", torch.zeros(experts))
        self.register_buffer("load", torch.zeros(experts), persistent=False)
        self.register_buffer("entropy", torch.zeros(()), persistent=False)

    @override
    def forward(self, x: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        flat = x.reshape(-1, x.shape[-1])
        share = self.router(flat).softmax(-1)
        chosen = (share + self.balance).topk(self.active, -1).indices
        gates = share.gather(-1, chosen)
        if self.renormalised:
            gates = gates / gates.sum(-1, keepdim=True)
        expert, order = chosen.flatten().sort(stable=True)
        load = torch.bincount(expert, minlength=len(self.balance))
        computed = self._experts(flat[order // self.active], load)
        weighted = (computed * gates.flatten()[order].unsqueeze(-1)).to(flat.dtype)
        if len(flat) and self.training and torch.is_grad_enabled():
            self._note(share.detach(), load)
        return torch.zeros_like(flat).index_add(0, order // self.active, weighted).view(x.shape)

    def _experts(self, x: Float[Tensor, "M D"], load: Int[Tensor, " N"]) -> Float[Tensor, "M D"]:
        """Apply each expert to its rows, which stand together in the order of the experts."""
        hidden = SwiGLUFunction.apply(grouped_product(x, self.gate_up, load))
        return grouped_product(self.dropout(hidden), self.out, load)

    @override
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> MixtureOfExperts:
        # A step of the balance is lost in the rounding of bfloat16: what is counted keeps its precision.
        kept = {name: getattr(self, name) for name in ("balance", "load", "entropy")}
        super()._apply(fn, recurse)
        for name, value in kept.items():
            setattr(self, name, value.to(getattr(self, name).device))
        return self

    @torch.no_grad()
    def _note(self, share: Float[Tensor, "M N"], load: Int[Tensor, " N"]) -> None:
        """Keep load and entropy of a training pass, and move the balance towards equal loads of all processes."""
        load = load.to(self.load.dtype)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(load)
        self.load.copy_(load)
        self.entropy.copy_(torch.special.entr(share).sum(-1).mean())
        self.balance.add_((load.mean() - load).sign(), alpha=self.balance_rate)


def grouped_product(
    x: Float[Tensor, "M D"], weights: Float[Tensor, "N D E"], load: Int[Tensor, " N"]
) -> Float[Tensor, "M E"]:
    """Return the product of each row with the matrix of its expert; rows stand together in the order of the experts.

    One kernel for float32, bfloat16 and float16; expert by expert in float64, which the kernel does not take.

    Args:
        x: the rows; their precision is that of the product.
        weights: a matrix an expert.
        load: rows of each expert.
    """
    weights = weights.to(x.dtype)
    if x.dtype != torch.float64:
        return F.grouped_mm(x, weights, offs=load.cumsum(0).to(torch.int32))
    return torch.cat([rows @ matrix for rows, matrix in zip(x.split(load.tolist()), weights, strict=True)])


def expert_diagnostics(modules: Iterable[nn.Module]) -> dict[str, Float[Tensor, ""]]:
    """Return how evenly the mixtures among some modules were used in their last training pass; {} if there is none.

    - `experts/largest_load`: largest load of an expert over the mean load, the largest of all mixtures; 1 is balanced.
    - `experts/unused_share`: share of the experts of all mixtures that no position used.
    - `experts/router_entropy`: entropy of the router, nats, mean over the mixtures.

    Args:
        modules: such as `network.modules()`; others than `MixtureOfExperts` are passed over.
    """
    mixtures = [module for module in modules if isinstance(module, MixtureOfExperts)]
    if not mixtures:
        return {}
    relative = [mixture.load / mixture.load.mean().clamp(min=1e-9) for mixture in mixtures]
    return {
        "experts/largest_load": torch.stack([load.max() for load in relative]).max(),
        "experts/unused_share": torch.cat([load == 0 for load in relative]).float().mean(),
        "experts/router_entropy": torch.stack([mixture.entropy for mixture in mixtures]).mean(),
    }
