"""Cross-fitting folds by user, and the regression features of a context and an action."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import RequestError


def folds(unit: Int[Tensor, " n"], count: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """Return the fold of each row, from 0; rows of one unit share a fold, and folds have equally many units.

    Args:
        unit: unit of each row, any integers; `arange(n)` where rows are independent.
        count: number of folds, at least 2.
        generator: source of randomness.

    Raises:
        RequestError: there are fewer than two folds, or fewer units than folds.

    >>> fold = folds(torch.tensor([7, 7, 3, 5, 3, 2]), 2, torch.Generator().manual_seed(0))
    >>> bool(fold[0] == fold[1]) and bool(fold[2] == fold[4]), fold.bincount().sum()
    (True, tensor(6))
    """
    names, index = unit.unique(return_inverse=True)
    if not 2 <= count <= len(names):
        raise RequestError(
            f"cross-fitting needs 2 folds or more and a unit (round, user) each: {count} of {len(names)}"
        )
    order = torch.randperm(len(names), generator=generator).to(unit.device)
    return order[index] % count


def out_of_fold(fold: Int[Tensor, " n"], answer: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Return for every row the answer of a model that has not seen the row's fold.

    Args:
        fold: fold of each row.
        answer: function of the rows to learn from and the rows to answer for, both as indices; returns one answer for
            each of the latter.

    >>> value = torch.tensor([1.0, 2.0, 4.0])
    >>> out_of_fold(torch.tensor([0, 1, 1]), lambda seen, asked: value[seen].mean().expand(len(asked)))
    tensor([3., 1., 1.])
    """
    numbers = fold.unique().tolist()
    held = [(fold == number).nonzero().squeeze(1) for number in numbers]
    answers = [answer((fold != number).nonzero().squeeze(1), rows) for number, rows in zip(numbers, held, strict=True)]
    return torch.cat(answers)[torch.cat(held).argsort()]


CHUNK_NUMBERS = 2**24


def pairs(
    context: Float[Tensor, "n F"] | None, action: Int[Tensor, " n"], of_action: Float[Tensor, "A D"]
) -> Float[Tensor, "n FD"]:
    """Return regression features `[n, F + D]`: those of each context, if there are contexts, and those of each action.

    >>> pairs(torch.tensor([[0.5]]), torch.tensor([1]), torch.eye(2))
    tensor([[0.5000, 0.0000, 1.0000]])
    """
    chosen = of_action[action]
    return chosen if context is None else torch.cat([context.to(chosen), chosen], 1)


def every_pair(
    context: Float[Tensor, "n F"] | None, rows: int, of_action: Float[Tensor, "A D"]
) -> Iterator[Float[Tensor, "nA FD"]]:
    """Yield the features of each context with each action, actions varying fastest, in chunks of bounded memory.

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
    """Return the given features of actions, or one indicator for each action.

    Raises:
        RequestError: the features are of another number of actions.
    """
    if given is None:
        return torch.eye(actions, dtype=torch.float64)
    if len(given) != actions:
        raise RequestError(f"{len(given)} actions have features, and the log has {actions} actions")
    return given.double()
