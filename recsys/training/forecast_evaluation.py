"""Evaluate the slate models of a run by forecasting the same held-out clicks."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.data.datasets.slate_loader import SlateTestSet
from recsys.data.datasets.slate_log import SlateLog
from recsys.metrics.calibration import reliability
from recsys.metrics.results import Results, values_per_user
from recsys.metrics.slate import log_likelihoods, slate_results
from recsys.models.slates.click_rate import ClickRateModel
from recsys.models.slates.slate_model import SlateModel, forecast
from recsys.ranges import at_least, is_seed
from recsys.report.console import Column, ConsoleTable
from recsys.report.formats import number, with_interval
from recsys.runs.artifacts import artifacts, load
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.simulate.posterior_coverage import click_coverage, distance_coverage, no_click_coverage
from recsys.simulate.simulated_slates import SimulatedSlates
from recsys.training.evaluate import EvaluationResult
from recsys.types.artifact_kind import ArtifactKind

CALIBRATION = "calibration"
"""Name of the details with which the report draws calibration."""

log = logging.getLogger(__name__)


class ForecastEvaluation:
    """Forecast each held-out click from the clicks before it.

    Rows: `uniform`, `popularity` (click rates), and each trained posterior. Metrics of `recsys.metrics.slate` over
    the strata of `SlateTestSet`, 95 % intervals by bootstrap over users, paired differences to each of `references`;
    and `calibration_error` of the probabilities of all slots, without interval. A model that is trained against all
    items can be compared by `click_log_likelihood` only: it knows nothing of not clicking.

    Where the log is simulated, there is a row `truth`, which knows where each user stands, and for each model the share
    of true values inside the posterior's 90 % intervals: `covered/click` (probabilities of clicks), `covered/distance`
    (of items), `covered/no_click` (scores of no click, by length), and `gamma` where users have one; no intervals.

    Args:
        references: rows that all others are compared with; the first one's differences are printed.
        draws: of the posterior, for forecasts.
        truth: the source of the run's slates, where it is a simulated one.
        users: in a batch.
        seed: of draws and bootstrap, and the name of this run in `metrics.parquet`.
        limit: batches at most (dry runs); None for all.
    """

    reads: ClassVar[type] = PreparedSlates

    def __init__(
        self,
        references: Sequence[str] = ("popularity",),
        draws: int = 64,
        truth: SimulatedSlates | None = None,
        users: int = 128,
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        at_least(1, draws=draws, users=users, limit=limit)
        is_seed(seed=seed)
        self.references = list(references)
        self.draws = draws
        self.truth = truth
        self.users = users
        self.seed = seed
        self.limit = limit

    def evaluate(self, run: RunFolder) -> EvaluationResult:
        """Return the likelihood and calibration of every row.

        Raises:
            ConfigurationError: the run prepared other data than slates.
        """
        slates = load_data_of(run, PreparedSlates)
        shown, split = slates.log, slates.split
        held = SlateTestSet.from_split(shown, split, self.users, self.limit)
        rows = {
            name: held.flat(counted.choices(batch.slates).exp() for batch in held.batches)
            for name, counted in (
                ("uniform", ClickRateModel.uniform(shown, split.train)),
                ("popularity", ClickRateModel.popularity(shown, split.train)),
            )
        }
        beyond: dict[str, dict[str, float]] = {name: {} for name in rows}
        for one in artifacts(run, ArtifactKind.POSTERIOR):
            rows[one.name], beyond[one.name] = self._forecast(load(run, one.name), shown, held)
            log.info("%s: forecast", one.name)
        if self.truth is not None:
            rows["truth"], beyond["truth"] = self.truth.click_probability(shown)[held.row], {}
        table = slate_results(rows, held.click, held.user, held.strata, self.references, self.seed)
        curves = {}
        for name, probability in rows.items():
            found = reliability(*_statements(probability, held))
            curves[name] = {part: value.tolist() for part, value in vars(found).items()}
            numbers = {"calibration_error": found.error, **beyond[name]}
            table[name] |= {key: {"value": value, "low": None, "high": None} for key, value in numbers.items()}
        title = f"{shown.name}: {len(held.row):,} held-out slates of {len(held.user.unique()):,} users, nats a slate"
        ids = shown.users.get_column("user_id")[held.user.numpy()]
        likelihoods = {row: log_likelihoods(probability, held.click) for row, probability in rows.items()}
        per_user = values_per_user(likelihoods, ids, self.seed)
        view = results_table(table, next(iter(self.references), None), title)
        return EvaluationResult(table, per_user, [view], {CALIBRATION: curves})

    def _forecast(
        self, model: SlateModel, slates: SlateLog, held: SlateTestSet
    ) -> tuple[Float[Tensor, "n S1"], dict[str, float]]:
        """Return the posterior predictive, and what is known of it where the log is simulated."""
        generator = torch.Generator().manual_seed(self.seed)
        drawn = (forecast(model, batch, self.draws, generator)[:, batch.loss_mask] for batch in held.batches)
        if self.truth is None:
            return torch.cat([part.mean(0) for part in drawn]), {}
        draws, truth = torch.cat(list(drawn), 1), self.truth.click_probability(slates)[held.row]
        holds: dict[str, Bool[Tensor, " _"]] = {
            "covered/click": click_coverage(draws, truth),
            "covered/distance": distance_coverage(model, slates, self.truth, generator),
            "covered/no_click": no_click_coverage(model, slates, self.truth, generator),
        }
        found = {name: float(value.float().mean()) for name, value in holds.items()}
        gamma = getattr(model.user, "gamma", None)
        return draws.mean(0), found if gamma is None else {**found, "gamma": float(gamma)}


def results_table(table: Results, reference: str | None, title: str) -> ConsoleTable:
    """Return the likelihoods of each row with their intervals and paired differences, and what else is known of it."""
    metrics = ("log_likelihood", "click_log_likelihood")
    plain = [name for name in ("covered/click", "gamma") if any(name in cells for cells in table.values())]
    minus = [] if reference is None else [f"minus {reference}"]
    columns = [Column("", words=True)]
    for name in ("answer", "click"):
        columns += [Column(name), *(Column(one, name=f"{name} {one}") for one in minus)]
    columns += [Column(name) for name in ("calibration\nerror", *plain)]
    rows = []
    for row, cells in table.items():
        shown = []
        for metric in metrics:
            shown += [_cell(cells.get(metric))]
            shown += [_cell(cells.get(f"{metric}_minus_{reference}"), signed=True) for _ in minus]
        rows.append([row, *shown, *(_cell(cells.get(name)) for name in ("calibration_error", *plain))])
    return ConsoleTable(columns, rows, title)


def _cell(cell: Mapping[str, float | None] | None, signed: bool = False) -> str:
    form = partial(number, places=3, signed=signed)
    return "" if cell is None else with_interval(cell["value"], cell["low"], cell["high"], form)


def _statements(probability: Tensor, held: SlateTestSet) -> tuple[Tensor, Tensor]:
    """Return the probability of a click on every shown slot, and whether it was clicked."""
    slates = held.flat(batch.slates for batch in held.batches)
    shown, slots = slates >= 0, torch.arange(slates.shape[1])
    return probability[:, :-1][shown], (slots == held.click.unsqueeze(1))[shown]
