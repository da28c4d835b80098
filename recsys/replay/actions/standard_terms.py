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
"""Rounds that a thread sums at once."""


class TermColumn(IntEnum):
    """A term of a round that the compiled loop knows."""

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
    """0, for a term with zero weights."""


MODELLED = frozenset({TermColumn.EXPECTED, TermColumn.SURPRISE})
"""The columns that need a reward model."""

UNWEIGHTED = frozenset({TermColumn.ONE, TermColumn.EXPECTED, TermColumn.ZERO})
"""The columns that do not depend on the weights."""


@runtime_checkable
class StandardTerms(Protocol):
    """Terms that are columns of the compiled loop."""

    @property
    def weights(self) -> Weights:
        """Return the weights `w`."""
        ...

    @property
    def columns(self) -> tuple[TermColumn, ...]:
        """Return the columns, in the order of the terms."""
        ...


def sums_of(terms: Iterable[Terms[Any]], batch: Any) -> dict[Terms[Any], Sums]:
    """Return the sums of each of the terms over the rows of a batch, every row being a unit.

    Equal terms are summed once. Terms that are standard columns are summed in one compiled pass for each of their
    weights, without storing a row of them; others are computed and then summed.

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
    """Return the weights under which terms are summed; terms without weights join a pass that has a model."""
    shared = (weights for weights, others in passes.items() if any(MODELLED & {*other.columns} for other in others))
    return next(shared, one.weights) if UNWEIGHTED.issuperset(one.columns) else one.weights


def standard_sums(rounds: BanditBatch, weights: Weights, modelled: bool) -> Sums:
    """Return the sums of every column, in the order of `TermColumn`.

    Sums are in float64 and taken over parts of a fixed size, so that the number of threads does not change the result.

    Args:
        rounds: the rounds.
        weights: `w`.
        modelled: whether the columns that need a reward model are computed; without it they are 0.

    Raises:
        RequestError: a reward model is needed and the rounds have none.
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
    """Return the columns as contiguous arrays, of float32 if all are, else of float64."""
    kind = torch.float32 if all(column.dtype == torch.float32 for column in columns) else torch.float64
    return [column.detach().to(kind).contiguous().numpy() for column in columns]
