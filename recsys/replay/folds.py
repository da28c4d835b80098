"""Cross-fitting: what is estimated for a round is learnt from rounds of other users."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.errors import RequestError


def folds(unit: Int[Tensor, " n"], count: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """`[n]`, a fold of each row from 0: rows of one unit share one, and folds have equally many units.

    Args:
        unit: of each row, any integers; `arange(n)` where each row stands alone.
        count: of folds, 2 or more.
        generator: what decides.

    Raises:
        RequestError: fewer units than folds, or fewer than two folds.

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
    """For every row what a model says that has not seen its fold.

    Args:
        fold: of each row.
        answer: from rows to learn from and rows asked about, both indices, to one answer a row asked about.

    >>> value = torch.tensor([1.0, 2.0, 4.0])
    >>> out_of_fold(torch.tensor([0, 1, 1]), lambda seen, asked: value[seen].mean().expand(len(asked)))
    tensor([3., 1., 1.])
    """
    numbers = fold.unique().tolist()
    held = [(fold == number).nonzero().squeeze(1) for number in numbers]
    answers = [answer((fold != number).nonzero().squeeze(1), rows) for number, rows in zip(numbers, held, strict=True)]
    return torch.cat(answers)[torch.cat(held).argsort()]
