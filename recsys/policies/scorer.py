"""The protocols of scorers, posteriors and online learners."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import NonFiniteError
from recsys.types.context import Context
from recsys.types.transition import Transition


@runtime_checkable
class Scorer(Protocol):
    """A function that scores every item of the catalogue; higher is better.

    Attributes:
        num_items: number of items `N`.
    """

    num_items: int

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the score of every item, whether the request allows it or not."""
        ...


@runtime_checkable
class OnlineLearner(Protocol):
    """A policy or a part of one that learns from the feedback to its slates, step by step.

    The `state_dict` of a module holds everything it has learned, including its optimizer. A learner that loads the
    state of another continues as the other would.
    """

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """Learn from one step of `B` users: one slate each, and the reward of each of its slots (`[B, 1, S]`).

        Args:
            transition: the step. The slate of a user whose session was over is empty.
            generator: random generator on the device of the learner.

        Raises:
            NonFiniteError: the reward of a slot that holds an item is NaN or infinite.
        """
        ...


def require_finite_rewards(transition: Transition) -> None:
    """Refuse a step in which the reward of a shown item is NaN or infinite: a learner would keep it for good.

    Raises:
        NonFiniteError: names the first such item and its user.
    """
    items, reward = transition.slates.items, transition.feedback.reward
    broken = ~reward.isfinite() & ((items >= 0) if reward.ndim == 3 else transition.slates.mask)
    if broken.any():
        place = tuple(broken.nonzero()[0].tolist())
        raise NonFiniteError(
            f"the reward of items {items[place].tolist()} shown to user {int(transition.context.users[place[0]])} is "
            f"{float(reward[place])}: feedback is finite; look at what gave it"
        )


def update(part: object, transition: Transition, generator: torch.Generator) -> None:
    """Update a part from a step if it is an `OnlineLearner`; otherwise do nothing."""
    if isinstance(part, OnlineLearner):
        part.update(transition, generator)


@runtime_checkable
class Posterior(Scorer, Protocol):
    """A posterior distribution over scores: its mean, its standard deviation, and a pool of samples.

    All requests share the pool. A policy that acts on samples of the pool therefore has exact probabilities, which are
    shares of the pool. A posterior that learns (`OnlineLearner`) samples a new pool at every update; a posterior of a
    trained model keeps its pool.

    Attributes:
        pool: number of samples of the pool.
    """

    pool: int

    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        """Return the standard deviation of every item's score."""
        ...

    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        """Return the score of every item under samples of the pool. The caller may overwrite the tensor.

        Their mean approaches `scores` as the pool grows.

        Args:
            context: `B` requests.
            which: samples of each request, from `0 .. pool − 1`.
        """
        ...
