"""Batches of logged feedback: optional parts made on demand, row selection and halves by user."""

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
    """A frozen dataclass of tensors of which some may be None.

    Attributes:
        later: how to make parts that are None, when they are needed; none by default.
    """

    later: Mapping[str, Callable[[], Tensor]] | None = None

    def need(self, name: str) -> Tensor:
        """A part that need not be there; made now, and kept, where it is not yet.

        Raises:
            RequestError: it is not there and nothing says how to make it.
        """
        if getattr(self, name) is None and self.later is not None and name in self.later:
            object.__setattr__(self, name, self.later[name]())
        found = getattr(self, name)
        if found is None:
            raise RequestError(f"this estimator needs {self.called(name)}, which is not there{self.given_by(name)}")
        return found

    def called(self, name: str) -> str:
        """What a part is called in messages."""
        raise NotImplementedError

    def given_by(self, name: str) -> str:
        """How `recsys replay` is told to make a part, after a colon; empty where that is not to be said."""
        return ""


LogBatch = TypeVar("LogBatch", bound=Any)

MIXER = 0x9E3779B97F4A7C15 - 2**64
"""An odd number whose bits are even: 2⁶⁴ over the golden ratio (Knuth 1998, "Sorting and searching", section 6.4)."""


def take(batch: LogBatch, rows: Tensor) -> LogBatch:
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
