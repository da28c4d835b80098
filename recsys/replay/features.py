"""A context and an action side by side, as regressions read them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import RequestError

CHUNK_NUMBERS = 2**24


def pairs(
    context: Float[Tensor, "n F"] | None, action: Int[Tensor, " n"], of_action: Float[Tensor, "A D"]
) -> Float[Tensor, "n FD"]:
    """`[n, F + D]`, features of each context, if there are some, and of each action.

    >>> pairs(torch.tensor([[0.5]]), torch.tensor([1]), torch.eye(2))
    tensor([[0.5000, 0.0000, 1.0000]])
    """
    chosen = of_action[action]
    return chosen if context is None else torch.cat([context.to(chosen), chosen], 1)


def every_pair(
    context: Float[Tensor, "n F"] | None, rows: int, of_action: Float[Tensor, "A D"]
) -> Iterator[Float[Tensor, "nA FD"]]:
    """Of each context with each action, actions one after the other; some contexts at a time, to bound memory.

    >>> [chunk] = every_pair(torch.tensor([[5.0], [6.0]]), 2, torch.eye(2))
    >>> chunk.tolist()
    [[5.0, 1.0, 0.0], [5.0, 0.0, 1.0], [6.0, 1.0, 0.0], [6.0, 0.0, 1.0]]
    """
    actions, width = of_action.shape
    width += 0 if context is None else context.shape[1]
    step = max(1, CHUNK_NUMBERS // (actions * width))
    for start in range(0, rows, step):
        size = min(step, rows - start)
        part = None if context is None else context[start : start + size].repeat_interleave(actions, 0)
        yield pairs(part, torch.arange(actions).repeat(size), of_action)


def features_of_actions(given: Float[Tensor, "A D"] | None, actions: int) -> Float[Tensor, "A D"]:
    """Those given, or one indicator an action.

    Raises:
        RequestError: features of another number of actions.
    """
    if given is None:
        return torch.eye(actions, dtype=torch.float64)
    if len(given) != actions:
        raise RequestError(f"{len(given)} actions have features, and the log has {actions} actions")
    return given.double()
