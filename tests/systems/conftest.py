from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch

from recsys.data.datasets.loader import PackedLoader
from recsys.systems.sequential import SequentialSystem
from recsys.types.context import Context
from tests.tiny import tiny_dataset

ADAM = partial(torch.optim.AdamW, lr=0.01)


@pytest.fixture
def batch() -> Context:
    """A batch of the tiny data: sequences with what their users had before."""
    return next(iter(PackedLoader(tiny_dataset().train, positions=40, max_length=4, seed=1)))


@pytest.fixture
def watched() -> Callable[[SequentialSystem], dict[str, float]]:
    """Puts what a system logs into the dictionary that it returns."""

    def watch(system: SequentialSystem) -> dict[str, float]:
        seen: dict[str, float] = {}

        def log(name: str, value: Any, **_: Any) -> None:
            seen[name] = float(value)

        def log_dict(values: dict[str, Any], **_: Any) -> None:
            seen.update({name: float(value) for name, value in values.items()})

        system.log, system.log_dict = log, log_dict  # type: ignore[method-assign]
        return seen

    return watch
