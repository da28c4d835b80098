"""The contracts of scorers, posteriors and online learners."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.types.context import Context
from recsys.types.transition import Transition


@runtime_checkable
class Scorer(Protocol):
    """One number an item; higher is better."""

    num_items: int

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the score of every item, whether the request allows it or not."""
        ...


@runtime_checkable
class OnlineLearner(Protocol):
    """What learns from the feedback to its slates, step by step.

    All that it has learnt, its optimizer included, is in its `state_dict` where it is a module: a learner that loads
    another's state goes on as that one would have.
    """

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """Take in one step of `B` users: one slate each and what each of its slots earned (`[B, 1, S]`).

        Args:
            transition: whose slates show nothing where a session was over.
            generator: randomness, on the device of the learner.
        """
        ...


def update(part: object, transition: Transition, generator: torch.Generator) -> None:
    """Let a part learn from a step if it can; see `OnlineLearner.update`."""
    if isinstance(part, OnlineLearner):
        part.update(transition, generator)


@runtime_checkable
class Posterior(Scorer, Protocol):
    """A distribution over scores, kept as its mean, its spread and a pool of draws that every request shares.

    Whoever acts on draws of the pool has probabilities that can be counted. A posterior that learns (`OnlineLearner`)
    draws the pool anew at every update; one that was trained before keeps it.
    """

    pool: int

    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the standard deviation of every item's score."""
        ...

    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        """Return every item's score under the named draws, in `0 .. pool − 1`.

        `scores` is their mean as the pool grows. The tensor is the caller's, who may overwrite it.
        """
        ...
