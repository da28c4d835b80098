"""Parts that a user might write, each wrong in one way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recsys.simulate.simulator import feedback
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


@dataclass(frozen=True)
class Standing:
    """Where users stand: nowhere."""

    done: Tensor


class Bare:
    """A simulator of what the protocol asks for, and nothing else."""

    def __init__(self, num_items: int = 10) -> None:
        self.num_items = num_items

    def reset(self, users: int, generator: torch.Generator) -> Any:
        return Standing(torch.zeros(users, dtype=torch.bool))

    def observe(self, state: Any) -> Any:
        users = len(state.done)
        return Context(torch.arange(users), Jagged.empty(users), Jagged.empty(users))

    def scores(self, state: Any) -> Any:
        return torch.zeros(len(state.done), self.num_items)

    def vectors(self, state: Any, items: Tensor) -> Any:
        return torch.zeros(*items.shape, 2)

    def step(self, state: Any, slates: Slates, generator: torch.Generator) -> Any:
        clicks = (torch.rand(slates.items[:, 0].shape, generator=generator) < 0.5) & (slates.items[:, 0] >= 0)
        return state, feedback(slates, clicks, clicks.float()), state.done


class ObservesNothing(Bare):
    def observe(self, state: Any) -> Any:
        return None


class AnswersTwo(Bare):
    def step(self, state: Any, slates: Slates, generator: torch.Generator) -> Any:
        return state, state.done


class AnswersNone(Bare):
    def step(self, state: Any, slates: Slates, generator: torch.Generator) -> Any:
        return state, None, state.done


class FlatVectors(Bare):
    def vectors(self, state: Any, items: Tensor) -> Any:
        return torch.zeros(items.shape)


class WithoutStep:
    def __init__(self, num_items: int = 10) -> None:
        self.num_items = num_items

    def reset(self, users: int, generator: torch.Generator) -> Any:
        return Standing(torch.zeros(users, dtype=torch.bool))


class First:
    """A policy of the first items."""

    def log_prob(self, context: Context, slates: Slates) -> Any:
        return torch.zeros(slates.items.shape)

    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Any:
        items = torch.arange(slots).expand(len(context), 1, slots).clone()
        return Slates(items, torch.zeros(items.shape))


class WithoutSample:
    pass


class SamplesNone(First):
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Any:
        return None


class WithoutGenerator(First):
    def sample(self, context: Context, candidates: int, slots: int) -> Any:  # pyright: ignore
        return None


class CodesWithoutDecode:
    """A quantizer that lacks methods."""

    def __init__(self, codes: int = 4) -> None:
        self.codes = codes

    def fit(self, x: Tensor, generator: torch.Generator) -> Any:
        return self


class ValueAlone:
    """An estimator that lacks methods."""

    def value(self, totals: Tensor) -> Any:
        return totals[..., 0]


class WithoutTables:
    """A source that reads nothing."""
