"""Everything that estimates, intervals and warnings are made of, summed over a log that comes in batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.progress import progress
from recsys.errors import RequestError
from recsys.replay.bootstrap import Bootstrap
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.standard import sums_of
from recsys.replay.sums import Sums
from recsys.replay.unit_totals import UnitTotals
from recsys.replay.weight_summary import WeightSummary


@dataclass(frozen=True)
class Summed:
    """Of one estimator.

    Args:
        sums: of its terms over units.
        weights: over rows.
        replicates: `[R, k]`, of its terms; None where no bootstrap was asked for.
    """

    sums: Sums
    weights: WeightSummary
    replicates: Float[Tensor, "R k"] | None


@dataclass(frozen=True)
class Accumulation:
    """Of several estimators over one log or a part of it; equal terms are held once.

    Parts are added; they equal the whole, as long as they number their rows as the whole does and no row is in two.
    What a user's rows sum to is held for each user, so parts may share users.

    Args:
        estimators: by name.
        bootstrap: asked for; None for none.
        rows: how many.
        sums: of the terms, where each row is a unit.
        totals: of the terms, where users are.
        weights: by name of the estimator.
        replicates: of the terms.
    """

    estimators: Mapping[str, Estimator[Any]]
    bootstrap: Bootstrap | None = None
    rows: int = 0
    sums: Mapping[Terms[Any], Sums] = field(default_factory=dict)
    totals: Mapping[Terms[Any], UnitTotals] = field(default_factory=dict)
    weights: Mapping[str, WeightSummary] = field(default_factory=dict)
    replicates: Mapping[Terms[Any], Float[Tensor, "R k"]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Summed:
        """Of one estimator.

        Raises:
            RequestError: nothing was summed.
        """
        if not self.rows:
            raise RequestError("the log has no row: there is nothing to estimate from")
        terms = self.estimators[name].terms
        sums = self.totals[terms].sums if self.totals else self.sums[terms]
        return Summed(sums, self.weights[name], self.replicates.get(terms))

    def __add__(self, other: Accumulation) -> Accumulation:
        if (self.estimators, self.bootstrap) != (other.estimators, other.bootstrap):
            raise RequestError("two parts of a log are added only of the same estimators and the same bootstrap")
        if self.rows and other.rows and bool(self.totals) != bool(other.totals):
            raise RequestError(WITH_AND_WITHOUT)
        return Accumulation(
            self.estimators,
            self.bootstrap,
            self.rows + other.rows,
            _added(self.sums, other.sums),
            _added(self.totals, other.totals),
            _added(self.weights, other.weights),
            _added(self.replicates, other.replicates),
        )


def accumulate(
    estimators: Mapping[str, Estimator[Any]],
    batches: Iterable[Any],
    *,
    bootstrap: Bootstrap | None = None,
    first: int = 0,
    total: int | None = None,
) -> Accumulation:
    """One pass over a log, in the memory of one batch and, where the log has users, of each user's terms.

    Units are the users of the batches (`batch.user`); where there are none each row stands alone, numbered from
    `first` as it comes. Terms that equal each other are computed once a batch. A bar shows how far the log is read.

    Args:
        estimators: by name.
        batches: parts of the log in any order; rows of the log whose users are None are numbered in that order.
        bootstrap: whose replicates are summed too; None for none.
        first: the number of the first row, where the batches are a shard of a log.
        total: how many rows will come; None where that is not known.

    Raises:
        RequestError: some batches have users and some do not, or an estimator needs what a batch has not.

    >>> from recsys.replay.importance import IPS, SNIPS
    >>> from recsys.replay.rounds import Rounds
    >>> rounds = Rounds(*map(torch.tensor, ([0, 1], [1.0, 0.0], [0.5, 0.25], [0.5, 0.5])))
    >>> found = accumulate({"ips": IPS(), "snips": SNIPS()}, [rounds, rounds])
    >>> found["snips"].sums.totals.tolist(), found["snips"].weights.largest  # 4 rounds, 2 (1 + 2), 2 (1 + 0)
    ([4.0, 6.0, 2.0], 2.0)
    """
    whole = Accumulation(estimators, bootstrap)
    with progress() as bar:
        task = bar.add_task("replay", total=total)
        for batch in batches:
            whole = _extended(whole, batch, first)
            bar.advance(task, len(batch))
    return whole


def _extended(whole: Accumulation, batch: Any, first: int) -> Accumulation:
    """With one batch more; what was held of users grows in place, so the accumulation before is not to be used on."""
    terms = list(dict.fromkeys(estimator.terms for estimator in whole.estimators.values()))
    user = getattr(batch, "user", None)  # episodes stand alone
    if whole.rows and (user is None) == bool(whole.totals):
        raise RequestError(WITH_AND_WITHOUT)
    one = Accumulation(whole.estimators, whole.bootstrap, len(batch), weights=_weights(whole.estimators, batch))
    if user is None:
        one = replace(one, sums=sums_of(terms, batch))
        if whole.bootstrap is None:
            return whole + one
    values = {each: each(batch).double() for each in terms}
    if whole.bootstrap is not None:
        rows = torch.arange(len(batch)) + first + whole.rows if user is None else user
        drawn = whole.bootstrap.totals(torch.cat([*values.values()], 1), rows)
        widths = [value.shape[1] for value in values.values()]
        one = replace(one, replicates=dict(zip(terms, drawn.split(widths, 1), strict=True)))
    if user is None:
        return whole + one
    totals = {each: UnitTotals.of(value, user, whole.totals.get(each)) for each, value in values.items()}
    return replace(replace(whole, totals={}) + one, totals=totals)


def _weights(estimators: Mapping[str, Estimator[Any]], batch: Any) -> dict[str, WeightSummary]:
    """Of every estimator; of weights that are one tensor once."""
    weights = {name: estimator.weight(batch) for name, estimator in estimators.items()}
    summaries = {id(weight): WeightSummary.of(weight) for weight in {id(one): one for one in weights.values()}.values()}
    return {name: summaries[id(weight)] for name, weight in weights.items()}


def _added(some: Mapping[Any, Any], others: Mapping[Any, Any]) -> dict[Any, Any]:
    """Values of equal keys added."""
    added = {**others, **some}
    return added | {key: some[key] + others[key] for key in some.keys() & others.keys()}


WITH_AND_WITHOUT = (
    "some parts of the log say whose their rows are and some do not: give users to all of them or to none"
)
