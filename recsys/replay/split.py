"""Rows of a batch, and logs divided by whose rows they are."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.context import Context

Batch = TypeVar("Batch", bound=Any)

MIXER = 0x9E3779B97F4A7C15 - 2**64
"""An odd number whose bits are even: 2⁶⁴ over the golden ratio (Knuth 1998, "Sorting and searching", section 6.4)."""


def take(batch: Batch, rows: Tensor) -> Batch:
    """The named rows of a batch of logged rounds, slates or episodes.

    Args:
        batch: a dataclass of tensors of one row each; what is no tensor belongs to all.
        rows: indices, or true at those that stay.
    """
    index = rows.nonzero().squeeze(1) if rows.dtype == torch.bool else rows
    taken: dict[str, Any] = {}
    for part in fields(batch):
        value = getattr(batch, part.name)
        if isinstance(value, Tensor):
            taken[part.name] = value[index]
        elif isinstance(value, Context):
            taken[part.name] = value.select(index)
    return replace(batch, **taken)


def in_half(units: Int[Tensor, " n"], half: int) -> Bool[Tensor, " n"]:
    """True where a unit belongs to half 0 or 1 of all units; the same wherever and whenever it comes.

    Args:
        units: users, requests or episodes, numbered.
        half: 0 or 1.

    >>> in_half(torch.arange(6), 0), in_half(torch.arange(1_000_000), 1).float().mean()
    (tensor([ True, False,  True, False,  True,  True]), tensor(0.5000))
    """
    return ((units * MIXER) >> 63 & 1) == half


def units_of(batch: Any) -> Int[Tensor, " n"]:
    """Which rows belong together: users where they are known, else each row, or episode, alone."""
    if getattr(batch, "user", None) is not None:
        return batch.user
    return batch.episode if hasattr(batch, "episode") else batch.request
