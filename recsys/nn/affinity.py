"""How near an item is to a user: the scores that choice models turn into clicks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def inner_product(users: Float[Tensor, "B D"], items: Float[Tensor, "*B N D"]) -> Float[Tensor, "B N"]:
    """`⟨z, v⟩`, of items that are the same for every user (`[N, D]`) or the user's own (`[B, N, D]`).

    >>> inner_product(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
    tensor([[7., 8.]])
    """
    return users @ items.T if items.ndim == 2 else torch.einsum("bd,bnd->bn", users, items)


def negative_distance(users: Float[Tensor, "B D"], items: Float[Tensor, "*B N D"]) -> Float[Tensor, "B N"]:
    """`−‖z − v‖₂`, at most 0; shapes as in `inner_product`.

    Source: Eide, Leslie, Frigessi 2022 (DMKD 36).

    >>> negative_distance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    tensor([[-5.]])
    """
    return -torch.cdist(users, items) if items.ndim == 2 else -torch.cdist(users.unsqueeze(1), items).squeeze(1)
