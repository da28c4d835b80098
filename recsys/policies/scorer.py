"""The contracts of scorers, posteriors and online learners."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.slates import Slates


@runtime_checkable
class Scorer(Protocol):
    """One number an item; higher is better."""

    num_items: int

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """Of every item, whether the request allows it or not."""
        ...


@runtime_checkable
class OnlineLearner(Protocol):
    """What changes with what its slates earned."""

    def update(self, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
        """Take in one slate a request and what each of its slots earned (`[B, 1, S]`)."""
        ...


def update(part: object, context: Context, slates: Slates, feedback: Feedback, generator: torch.Generator) -> None:
    """Let a part learn from answers if it can; see `OnlineLearner.update`."""
    if isinstance(part, OnlineLearner):
        part.update(context, slates, feedback, generator)


@runtime_checkable
class Posterior(Scorer, Protocol):
    """A distribution over scores, kept as its mean, its spread and a pool of draws that every request shares.

    Whoever acts on draws of the pool has probabilities that can be counted. A posterior that learns (`OnlineLearner`)
    draws the pool anew at every update; one that was trained before keeps it.
    """

    pool: int

    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        """Standard deviation of every item's score."""
        ...

    def drawn(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        """Every item's score under the named draws, in `0 .. pool − 1`; `scores` is their mean as the pool grows.

        The tensor is the caller's, who may overwrite it.
        """
        ...
