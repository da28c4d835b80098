"""The affinity of a user's position and an item's vector: inner product or negative distance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def inner_product(users: Float[Tensor, "B *K D"], items: Float[Tensor, "*B N D"]) -> Float[Tensor, "B *K N"]:
    """`⟨z, v⟩`, of items that are the same for every user (`[N, D]`) or the user's own (`[B, N, D]`).

    A user may stand in several places at once (`[B, K, D]`); the items are then the user's own.

    >>> inner_product(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
    tensor([[7., 8.]])
    """
    if items.ndim == 2:
        return users @ items.T
    return torch.einsum("bd,bnd->bn", users, items) if users.ndim == 2 else users @ items.mT


def negative_distance(users: Float[Tensor, "B *K D"], items: Float[Tensor, "*B N D"]) -> Float[Tensor, "B *K N"]:
    """`−‖z − v‖₂`, at most 0; shapes as in `inner_product`.

    Source: Eide, Leslie, Frigessi 2022 (DMKD 36).

    >>> negative_distance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    tensor([[-5.]])
    """
    if items.ndim == 2:
        return -torch.cdist(users, items)
    if users.ndim == 2:
        return -torch.cdist(users.unsqueeze(1), items).squeeze(1)
    return -torch.cdist(users, items, compute_mode="donot_use_mm_for_euclid_dist")
