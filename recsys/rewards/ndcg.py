"""How high in its slate the logged next item stands."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.errors import ConfigurationError
from recsys.rewards.reward import logged_target


class Ndcg:
    """`1 / log2(s + 1)` for a slate that holds the logged next item in slot s (from 1) of the first K, else 0.

    With one relevant item that is NDCG@K. Slates of one slot earn what `Rule` gives.

    Args:
        cutoff: K, at least 1.

    Raises:
        ConfigurationError: K is below 1.

    >>> from recsys.data.jagged import Jagged
    >>> context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.empty(1), target=torch.tensor([7]))
    >>> Ndcg()(context, Slates(torch.tensor([[[1, 2, 7], [7, 1, 2]]]), torch.zeros(1, 2, 3)))
    tensor([[0.5000, 1.0000]])
    """

    order_matters = True
    bounds = (0.0, 1.0)

    def __init__(self, cutoff: int = 10) -> None:
        if cutoff < 1:
            raise ConfigurationError(f"cutoff is {cutoff}: NDCG@K needs K of at least 1")
        self.cutoff = cutoff

    def __call__(self, context: Context, slates: Slates) -> Float[Tensor, "B G"]:
        """`[B, G]`, in [0, 1]."""
        hit = slates.items[..., : self.cutoff] == logged_target(context)[:, None, None]
        slot = torch.arange(1, hit.shape[-1] + 1, device=hit.device, dtype=slates.log_prob.dtype)
        gain = (hit / (slot + 1).log2()).amax(-1)
        return gain.masked_fill(~slates.alive, 0.0)
