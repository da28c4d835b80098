"""Terms that most single-action estimators share, and one pass that sums them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, Protocol, runtime_checkable

import torch

from recsys.replay.actions.batch import BanditBatch
from recsys.replay.actions.weights import PlainWeights, Weights
from recsys.replay.estimator import Terms
from recsys.replay.sums import Sums

ROWS = 2**17
"""How many rounds a thread sums at once."""


class TermColumn(IntEnum):
    """A term of a round."""

    ONE = 0
    """1."""
    WEIGHT = 1
    """`w`."""
    WEIGHTED = 2
    """`w r`."""
    EXPECTED = 3
    """`Σ_a π(a | x) q(x, a)`."""
    SURPRISE = 4
    """`w (r − q(x, a))`."""
    ZERO = 5
    """0, in the place of a term that is weighed by nothing."""


MODELLED = frozenset({TermColumn.EXPECTED, TermColumn.SURPRISE})
"""What needs a reward model."""

UNWEIGHTED = frozenset({TermColumn.ONE, TermColumn.EXPECTED, TermColumn.ZERO})
"""What is the same whatever the weights."""


@runtime_checkable
class StandardTerms(Protocol):
    """Terms of rounds that are some of the columns."""

    @property
    def weights(self) -> Weights:
        """`w`."""
        ...

    @property
    def columns(self) -> tuple[TermColumn, ...]:
        """Which, in the order of the terms."""
        ...


def sums_of(terms: Iterable[Terms[Any]], batch: Any) -> dict[Terms[Any], Sums]:
    """Sums over the rows of a batch, each of which is a unit; equal terms once.

    Terms that say which standard columns they are made of are summed in one compiled pass for each of their weights,
    without a row of them being kept; others are computed, then summed.

    >>> from recsys.replay.actions.importance import ImportanceTerms
    >>> rounds = BanditBatch(*map(torch.tensor, ([0, 1], [1.0, 1.0], [0.5, 0.25], [0.5, 0.5])))
    >>> sums_of([ImportanceTerms()], rounds)[ImportanceTerms()].totals
    tensor([2., 3., 3.], dtype=torch.float64)
    """
    different = dict.fromkeys(terms)
    standard = [one for one in different if isinstance(one, StandardTerms) and isinstance(batch, BanditBatch)]
    passes: dict[Weights, list[Any]] = defaultdict(list)
    for one in sorted(standard, key=lambda one: UNWEIGHTED.issuperset(one.columns)):
        passes[_pass(one, passes)].append(one)
    found: dict[Terms[Any], Sums] = {}
    for weights, members in passes.items():
        columns = frozenset[TermColumn]().union(*(one.columns for one in members))
        sums = standard_sums(batch, weights, bool(columns & MODELLED))
        found |= {one: sums.pick(one.columns) for one in members}
    return {one: found[one] if one in found else Sums.of(one(batch)) for one in different}


def _pass(one: StandardTerms, passes: dict[Weights, list[Any]]) -> Weights:
    """Under which weights the terms are summed: any that others have who need a model too, where they do not matter."""
    shared = (weights for weights, others in passes.items() if any(MODELLED & {*other.columns} for other in others))
    return next(shared, one.weights) if UNWEIGHTED.issuperset(one.columns) else one.weights


def standard_sums(rounds: BanditBatch, weights: Weights, modelled: bool) -> Sums:
    """Of every column, in their order; what needs a reward model is meant only where `modelled`.

    Sums are in float64, of parts of equal size whatever the number of threads, so that this has no part in the result.

    Raises:
        RequestError: a reward model is asked for and the rounds have none.
    """
    from recsys.replay.numba_kernels import in_parallel, standard_products

    ratio = (rounds.target, rounds.logging) if weights == PlainWeights() else (weights(rounds), torch.ones(len(rounds)))
    arrays = _alike(*ratio, rounds.reward)
    if modelled:
        arrays += [rounds.action.long().numpy(), *_alike(rounds.need("target_all"), rounds.need("predicted_all"))]

    def products(start: int) -> Any:
        parts = [array[start : start + ROWS] for array in arrays]
        return standard_products(*parts) if modelled else standard_products(*parts, None, None, None)

    wide = torch.zeros(len(TermColumn), len(TermColumn), dtype=torch.float64)
    for part in in_parallel(products, range(0, len(rounds), ROWS)):
        wide[: len(part), : len(part)] += torch.from_numpy(part)
    return Sums(len(rounds), wide[0], wide)


def _alike(*columns: torch.Tensor) -> list[Any]:
    """As arrays, of float32 if all are, else of float64; each contiguous."""
    kind = torch.float32 if all(column.dtype == torch.float32 for column in columns) else torch.float64
    return [column.detach().to(kind).contiguous().numpy() for column in columns]
