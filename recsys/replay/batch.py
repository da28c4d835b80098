"""Batches of logged feedback: parts that are computed on demand, selection of rows, and halves by user."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.errors import RequestError
from recsys.types.context import Context


class OptionalParts:
    """Base class of frozen dataclasses of tensors, some of which may be missing.

    Attributes:
        later: functions that compute missing parts on demand, by the name of the part.
    """

    later: Mapping[str, Callable[[], Tensor]] | None = None

    def need(self, name: str) -> Tensor:
        """Return a part that may be missing; it is computed now and kept if `later` says how.

        Raises:
            RequestError: the part is missing and nothing computes it.
        """
        if getattr(self, name) is None and self.later is not None and name in self.later:
            object.__setattr__(self, name, self.later[name]())
        found = getattr(self, name)
        if found is None:
            raise RequestError(f"this estimator needs {self.called(name)}, which is not there{self.given_by(name)}")
        return found

    def called(self, name: str) -> str:
        """Return what a part is called in messages."""
        raise NotImplementedError

    def given_by(self, name: str) -> str:
        """Return how a user of `recsys replay` provides a part, beginning with a colon; empty where there is no way."""
        return ""


LogBatch = TypeVar("LogBatch", bound=Any)

MIXER = 0x9E3779B97F4A7C15 - 2**64
"""An odd number with even bits, 2⁶⁴ over the golden ratio (Knuth 1998, "Sorting and searching", section 6.4)."""


def take(batch: LogBatch, rows: Tensor) -> LogBatch:
    """Return some rows of a batch of logged rounds, slates or episodes.

    Args:
        batch: dataclass of tensors with one row each; fields that are no tensors are kept.
        rows: row indices, or true at the rows to keep.
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
    """Return which units belong to half 0 or 1 of all units, by a hash of the unit's number.

    Args:
        units: numbers of users, requests or episodes.
        half: 0 or 1.

    >>> in_half(torch.arange(6), 0), in_half(torch.arange(1_000_000), 1).float().mean()
    (tensor([ True, False,  True, False,  True,  True]), tensor(0.5000))
    """
    return ((units * MIXER) >> 63 & 1) == half


def units_of(batch: Any) -> Int[Tensor, " n"]:
    """Return the unit of each row: its user where users are known, else the row or episode itself."""
    if getattr(batch, "user", None) is not None:
        return batch.user
    return batch.episode if hasattr(batch, "episode") else batch.request
