"""One pass over a log in batches that sums the terms, weights and bootstrap replicates of every estimator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate as accumulated
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.actions.standard_terms import sums_of
from recsys.replay.diagnostics.overlap import WeightSummary
from recsys.replay.estimator import Estimator, Terms
from recsys.replay.intervals.bootstrap import Bootstrap
from recsys.replay.sums import Sums, UnitTotals
from recsys.report.progress import progress_bar


@dataclass(frozen=True)
class EstimatorSums:
    """The sums, weights and bootstrap replicates of one estimator.

    Args:
        sums: sums of its terms over units.
        weights: summary of its weights over rows.
        replicates: `[R, k]`, sums of its terms in each bootstrap replicate; None without a bootstrap.
    """

    sums: Sums
    weights: WeightSummary
    replicates: Float[Tensor, "R k"] | None


@dataclass(frozen=True)
class Accumulation:
    """The sums of several estimators over a log or a part of it; estimators with equal terms share them.

    Accumulations of parts of a log are added. They equal that of the whole log if the parts number their rows as the
    whole does and no row is in two parts. Terms are held by user, or by group of users where there are many, so that
    parts may share users.

    Args:
        estimators: estimators by name.
        bootstrap: the bootstrap that is summed; None for none.
        without_replicates: names of the estimators that are not resampled.
        rows: number of rows.
        weights: summary of the weights by the name of the estimator.
        sums: sums of the terms where each row is a unit.
        widths: number of columns that each of the terms takes in `totals` and `replicates`, in their order.
        totals: totals of all terms by user, the terms side by side; None where rows have no users.
        replicates: `[R, ≤ K]`, bootstrap replicates of the terms that are resampled, which come first; None for none.
    """

    estimators: Mapping[str, Estimator[Any]]
    bootstrap: Bootstrap | None = None
    without_replicates: frozenset[str] = frozenset()
    rows: int = 0
    weights: Mapping[str, WeightSummary] = field(default_factory=dict)
    sums: Mapping[Terms[Any], Sums] = field(default_factory=dict)
    widths: Mapping[Terms[Any], int] = field(default_factory=dict)
    totals: UnitTotals | None = None
    replicates: Float[Tensor, "R resampled"] | None = None

    def __getitem__(self, name: str) -> EstimatorSums:
        """Return the sums of one estimator.

        Raises:
            RequestError: the log has no row.
        """
        if not self.rows:
            raise RequestError("the log has no row: there is nothing to estimate from")
        terms = self.estimators[name].terms
        sums = self.sums[terms] if self._by_user is None else self._by_user.pick(self._columns[terms])
        resampled = self.replicates if terms in self.terms[0] else None
        drawn = None if resampled is None else resampled[:, self._columns[terms]]
        return EstimatorSums(sums, self.weights[name], drawn)

    @cached_property
    def terms(self) -> tuple[list[Terms[Any]], list[Terms[Any]]]:
        """Return the different terms: those that are resampled, and the others."""
        found: dict[Terms[Any], bool] = {}
        for name, estimator in self.estimators.items():
            found[estimator.terms] = found.get(estimator.terms, False) or name not in self.without_replicates
        return [one for one in found if found[one]], [one for one in found if not found[one]]

    @cached_property
    def _by_user(self) -> Sums | None:
        return None if self.totals is None else self.totals.sums

    @cached_property
    def _columns(self) -> Mapping[Terms[Any], list[int]]:
        stops = accumulated(self.widths.values())
        return {
            terms: [*range(stop - self.widths[terms], stop)] for terms, stop in zip(self.widths, stops, strict=True)
        }

    def __add__(self, other: Accumulation) -> Accumulation:
        mine, yours = (([*one.estimators.items()], one.bootstrap, one.without_replicates) for one in (self, other))
        if mine != yours:
            raise RequestError("two parts of a log are added only of the same estimators, in order, and bootstrap")
        if self.rows and other.rows and (self.totals is None) != (other.totals is None):
            raise RequestError(WITH_AND_WITHOUT)
        return Accumulation(
            self.estimators,
            self.bootstrap,
            self.without_replicates,
            self.rows + other.rows,
            _by_key(self.weights, other.weights),
            _by_key(self.sums, other.sums),
            {**self.widths, **other.widths},
            _added(self.totals, other.totals),
            _added(self.replicates, other.replicates),
        )


def accumulate(
    estimators: Mapping[str, Estimator[Any]],
    batches: Iterable[Any],
    *,
    bootstrap: Bootstrap | None = None,
    without_replicates: Iterable[str] = (),
    first: int = 0,
    total: int | None = None,
) -> Accumulation:
    """Return the sums of every estimator after one pass over a log.

    The pass takes the memory of one batch and, where the log has users, of at most `GROUPS` rows of terms. The units
    are the users of the batches (`batch.user`); without users, each row is a unit, numbered from `first` in the order
    in which rows come. Equal terms are computed once a batch. A progress bar shows the rows that were read.

    Args:
        estimators: estimators by name.
        batches: parts of the log, in any order if rows have users.
        bootstrap: bootstrap whose replicates are summed too; None for none.
        without_replicates: names of estimators that are not resampled.
        first: number of the first row, where the batches are one shard of a log.
        total: number of rows to come, for the progress bar; None where it is not known.

    Raises:
        RequestError: some batches have users and others do not, or an estimator needs a part that a batch lacks.

    >>> from recsys.replay.actions.importance import IPS, SNIPS
    >>> from recsys.replay.actions.batch import BanditBatch
    >>> rounds = BanditBatch(*map(torch.tensor, ([0, 1], [1.0, 0.0], [0.5, 0.25], [0.5, 0.5])))
    >>> found = accumulate({"ips": IPS(), "snips": SNIPS()}, [rounds, rounds])
    >>> found["snips"].sums.totals.tolist(), found["snips"].weights.largest  # 4 rounds, 2 (1 + 2), 2 (1 + 0)
    ([4.0, 6.0, 2.0], 2.0)
    """
    whole = Accumulation(estimators, bootstrap, frozenset(without_replicates))
    with progress_bar() as bar:
        task = bar.add_task("replay", total=total)
        for batch in batches:
            whole = _extended(whole, batch, first)
            bar.advance(task, len(batch))
    return whole


def _extended(whole: Accumulation, batch: Any, first: int) -> Accumulation:
    """Return the accumulation with one more batch; totals by user grow in place, so drop `whole` afterwards."""
    resampled, others = whole.terms
    user = getattr(batch, "user", None)  # episodes stand alone
    if whole.rows and (user is None) == (whole.totals is not None):
        raise RequestError(WITH_AND_WITHOUT)
    weights = _weights(whole.estimators, batch)
    summed = Accumulation(whole.estimators, whole.bootstrap, whole.without_replicates, len(batch), weights)
    draws = whole.bootstrap if resampled else None
    if user is None:
        summed = replace(summed, sums=sums_of([*resampled, *others], batch))
        if draws is None:
            return whole + summed
    needed = resampled if user is None else [*resampled, *others]
    values = [each(batch).double() for each in needed]
    widths = {each: value.shape[1] for each, value in zip(needed, values, strict=True)}
    summed, stacked = replace(summed, widths=widths), torch.cat(values, 1)
    if draws is not None:
        unit = torch.arange(len(batch)) + first + whole.rows if user is None else user
        columns = sum(widths[each] for each in resampled)
        summed = replace(summed, replicates=draws.totals(stacked[:, :columns], unit))
    if user is None:
        return whole + summed
    totals = UnitTotals.of(stacked, user, whole.totals)
    return replace(replace(whole, totals=None) + summed, totals=totals)


def _weights(estimators: Mapping[str, Estimator[Any]], batch: Any) -> dict[str, WeightSummary]:
    """Return the summary of each estimator's weights; a tensor that several share is summarised once."""
    weights = {name: estimator.weight(batch) for name, estimator in estimators.items()}
    summaries = {id(weight): WeightSummary.of(weight) for weight in {id(one): one for one in weights.values()}.values()}
    return {name: summaries[id(weight)] for name, weight in weights.items()}


def _by_key(some: Mapping[Any, Any], others: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return both mappings as one, with the values of common keys added."""
    return {**others, **some} | {key: some[key] + others[key] for key in some.keys() & others.keys()}


def _added(one: Any, other: Any) -> Any:
    """Return the sum of two optional values."""
    return other if one is None else one if other is None else one + other


WITH_AND_WITHOUT = (
    "some parts of the log say whose their rows are and some do not: give users to all of them or to none"
)
