"""Requests with a logged next item, and groups of slates."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


@pytest.fixture
def make_example() -> Callable[..., Example]:
    def make(items: list[int]) -> Example:
        count = len(items)
        context = Context(torch.arange(count), Jagged.empty(count), Jagged.empty(count))
        return Example.next_item(context, torch.tensor(items))

    return make


@pytest.fixture
def make_slates() -> Callable[..., Slates]:
    """Slates of the given items (−1 = no item), one slot each unless nested; probabilities fall along the group."""

    def make(items: list[list[int]] | list[list[list[int]]], log_prob: list[list[float]] | None = None) -> Slates:
        tensor = torch.tensor(items)
        tensor = tensor if tensor.ndim == 3 else tensor.unsqueeze(-1)
        falling = -torch.arange(1.0, tensor.shape[1] + 1).expand(tensor.shape[:2])
        scores = falling if log_prob is None else torch.tensor(log_prob)
        spread = (scores / tensor.shape[2]).unsqueeze(-1).expand(tensor.shape)
        return Slates(tensor, spread.masked_fill(tensor < 0, float("-inf")))

    return make
