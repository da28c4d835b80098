"""How loops are compiled, and the threads that run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from inspect import unwrap
from typing import Any, TypeVar

import numba
import torch

Piece = TypeVar("Piece")
Made = TypeVar("Made")


def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    """The loop as machine code, kept on disk where a folder can be written; it runs beside other threads.

    Sums may be taken in another order than written, which is what lets them run in vectors; numbers that are not finite
    stay what they are.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract"}}
    try:
        return numba.njit(cache=True, **options)(unwrap(loop))
    except RuntimeError:
        return numba.njit(**options)(unwrap(loop))


def inlined(formula: Callable[..., Any]) -> Callable[..., Any]:
    """A formula that is written into each loop that uses it."""
    return numba.njit(inline="always")(unwrap(formula))


def in_parallel(work: Callable[[Piece], Made], pieces: Iterable[Piece]) -> list[Made]:
    """What the work makes of each piece, in the order of the pieces, on as many threads as torch has.

    >>> in_parallel(lambda piece: 2 * piece, [1, 2, 3])
    [2, 4, 6]
    """
    pieces = list(pieces)
    threads = min(torch.get_num_threads(), len(pieces))
    if threads < 2:
        return [work(piece) for piece in pieces]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, pieces))
