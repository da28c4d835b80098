"""Models of what an action and all that follows it are worth under the policy to be judged."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.episodes.episodes import Episodes


@runtime_checkable
class ValueModel(Protocol):
    """`q`."""

    def __call__(self, context: Float[Tensor, "m F"]) -> Float[Tensor, "m A"]:
        """`q(s, ·)` of every state."""
        ...


@runtime_checkable
class ValueFit(Protocol):
    """A way to learn `q`."""

    def __call__(self, episodes: Episodes) -> ValueModel:
        """From episodes with `action`, `context` and `target_all`.

        Raises:
            RequestError: one is missing, or the values do not settle.
        """
        ...


def predict(model: ValueModel, episodes: Episodes) -> Episodes:
    """The episodes with `predicted` and `expected` of a model that has not seen them."""
    context, target, action = (episodes.need(name) for name in ("context", "target_all", "action"))
    steps = episodes.there
    values = torch.zeros_like(target)
    values[steps] = model(context[steps]).to(values)
    taken = values.gather(2, torch.where(steps, action, 0).unsqueeze(2)).squeeze(2)
    expected = torch.where(steps, torch.linalg.vecdot(target, values), 0)
    return replace(episodes, predicted=taken, expected=expected)


def cross_fit(fit: ValueFit, episodes: Episodes, folds: int = 3, seed: int = 0) -> Episodes:
    """The episodes with `predicted` and `expected`, each from a model that learned from the other folds.

    Episodes are dealt to folds as wholes, so that no step of an episode is predicted by a model that saw another.

    Args:
        fit: how the model is learned.
        episodes: with `action`, `context` and `target_all`.
        folds: at least 2, at most the number of episodes.
        seed: of the deal.

    Raises:
        RequestError: fewer episodes than folds, or fewer than two folds.
    """
    if not 2 <= folds <= len(episodes):
        raise RequestError(f"{folds} folds of {len(episodes)} episodes: give from 2 folds to one an episode")
    deal = torch.randperm(len(episodes), generator=torch.Generator().manual_seed(seed)) % folds
    predicted, expected = torch.zeros_like(episodes.reward), torch.zeros_like(episodes.reward)
    for fold in range(folds):
        own = deal == fold
        found = predict(fit(episodes.select(~own)), episodes.select(own))
        predicted[own], expected[own] = found.need("predicted"), found.need("expected")
    return replace(episodes, predicted=predicted, expected=expected)
