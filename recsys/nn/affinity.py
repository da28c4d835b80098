"""Affinities of user vectors and item vectors: the inner product and the negative distance."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def inner_product(users: Float[Tensor, "B *K D"], items: Float[Tensor, "*B N D"]) -> Float[Tensor, "B *K N"]:
    """Return the inner products `⟨z, v⟩` of user vectors `z` and item vectors `v`.

    Args:
        users: `[B, D]`, one vector a user, or `[B, K, D]`, `K` vectors a user.
        items: `[N, D]`, the same items for every user, or `[B, N, D]`, items of each user. `K` vectors a user need
            items of each user.

    >>> inner_product(torch.tensor([[3.0, 4.0]]), torch.tensor([[1.0, 1.0], [0.0, 2.0]]))
    tensor([[7., 8.]])
    """
    if items.ndim == 2:
        return users @ items.T
    return torch.einsum("bd,bnd->bn", users, items) if users.ndim == 2 else users @ items.mT


def negative_distance(users: Float[Tensor, "B *K D"], items: Float[Tensor, "*B N D"]) -> Float[Tensor, "B *K N"]:
    """Return the negative distances `−‖z − v‖₂`, which are at most 0. Shapes are those of `inner_product`.

    Source: Eide, Leslie, Frigessi 2022 (DMKD 36).

    >>> negative_distance(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2))
    tensor([[-5.]])
    """
    if items.ndim == 2:
        return -torch.cdist(users, items)
    if users.ndim == 2:
        return -torch.cdist(users.unsqueeze(1), items).squeeze(1)
    return -torch.cdist(users, items, compute_mode="donot_use_mm_for_euclid_dist")
