"""The result of an evaluation: estimates, diagnostics, metrics, and tables to print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from recsys.errors import RequestError
from recsys.report.console import Column, ConsoleTable, table_text
from recsys.report.formats import number, percent, significant, with_interval

SCHEMA = {
    "policy": pl.String,
    "log": pl.String,
    "estimator": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "rounds": pl.Int64,
    "effective_sample_size": pl.Float64,
    "max_weight": pl.Float64,
    "warning": pl.String,
    "chosen": pl.String,
    "estimated": pl.Boolean,
    "on_policy_value": pl.Float64,
    "truth": pl.Float64,
    "truth_low": pl.Float64,
    "truth_high": pl.Float64,
    "relative_error": pl.Float64,
}
"""The columns of a table of estimates; `PolicyEstimate` says what each is."""

ESTIMATED_MARK = "propensities estimated"
"""The remark beside every estimate that rests on estimated propensities."""

REMARK_WIDTH = 60
"""Columns of the remarks of a printed result, at most."""


@dataclass(frozen=True)
class PolicyEstimate:
    """The value of a target policy, estimated from one log by one estimator.

    Args:
        policy: name of the target policy.
        log: name of the log.
        estimator: name of the estimator.
        value: the estimated mean reward of a round, slate or episode; None where it is undefined, such as a ratio of
            zeros.
        low: lower end of its confidence interval; None where there is none.
        high: upper end of its confidence interval.
        rounds: number of rounds, slates or episodes of the log.
        effective_sample_size: `(Σ w)² / Σ w²` of the estimator's weights `w`.
        max_weight: largest `|w|`.
        warning: why the log does not support the estimate; empty where it does.
        chosen: the estimator that a family chose by the data, such as `IPS(weights=Clip(limit=3.0))`; empty for others.
        estimated: whether the log's propensities were estimated instead of logged.
        on_policy_value: mean reward of the log, which is the value of the policy that wrote it; not discounted.
        truth: mean reward of the target policy's own log, not discounted; None where it has none.
        truth_low: lower end of the confidence interval of `truth`.
        truth_high: upper end of the confidence interval of `truth`.
        relative_error: `|value − truth| / |truth|`; None without a truth, and for discounted estimates.
    """

    policy: str
    log: str
    estimator: str
    value: float | None
    low: float | None
    high: float | None
    rounds: int
    effective_sample_size: float
    max_weight: float
    warning: str
    chosen: str
    estimated: bool
    on_policy_value: float
    truth: float | None = None
    truth_low: float | None = None
    truth_high: float | None = None
    relative_error: float | None = None

    @property
    def remarks(self) -> str:
        """Return the warning, the chosen estimator and whether propensities were estimated, separated by semicolons."""
        return remarks(vars(self))


@dataclass(frozen=True)
class ReplayResult:
    """What `recsys.replay.evaluate` found; `print(result)` shows the estimates.

    Args:
        estimates: one row a target policy, log and estimator, columns as in `SCHEMA`; logs of the policy itself are
            left out.
        placebo: the same columns, of every target policy on its own log. Where such an estimate is far from
            `on_policy_value`, the logged propensities are not those of the policy.
        checks: the same columns, of diagnostic estimators on logs of single actions: `clip/<limit>` is IPS with weights
            clipped at the limit, `1/p` is the mean of one over the propensity, which is the number of possible actions
            if the propensities are right.
        weight_tails: the distribution of plain weights on logs of single actions: for each size `weight`, the share
            `rounds` of rounds with a weight of at least this size, and their share `weight_share` of all weight.
    """

    estimates: pl.DataFrame
    placebo: pl.DataFrame
    checks: pl.DataFrame
    weight_tails: pl.DataFrame

    def estimate(self, policy: str, estimator: str, log: str | None = None) -> PolicyEstimate:
        """Return one estimate.

        Args:
            policy: name of the target policy.
            estimator: name of the estimator.
            log: name of the log; needed where the policy was evaluated on several.

        Raises:
            RequestError: there is no such estimate, or there are several.
        """
        found = self.estimates.filter(policy=policy, estimator=estimator)
        rows = [PolicyEstimate(**row) for row in found.iter_rows(named=True) if log in (None, row["log"])]
        if len(rows) != 1:
            known = ", ".join("/".join(key) for key in self.estimates.select("policy", "estimator", "log").iter_rows())
            raise RequestError(
                f"{len(rows)} estimates of policy {policy!r} by {estimator!r} on log {log!r}, expected one; there are "
                f"(policy/estimator/log) {known}"
            )
        return rows[0]

    def metrics(self) -> dict[str, dict[str, dict[str, float | None]]]:
        """Return the estimates as `metrics.json` has them; see `estimate_metrics`."""
        return estimate_metrics(self.estimates)

    def __str__(self) -> str:
        return table_text(estimate_tables(self.estimates))


def remarks(row: Mapping[str, Any]) -> str:
    """Return what has to be known beside the numbers of an estimate: warning, chosen estimator, estimated propensities.

    Args:
        row: columns as in `SCHEMA`; `warning`, `chosen` and `estimated` are read.

    >>> remarks({"warning": "", "chosen": "IPS()", "estimated": True})
    'IPS(); propensities estimated'
    """
    known = (row["warning"], row["chosen"], ESTIMATED_MARK if row["estimated"] else "")
    return "; ".join(remark for remark in known if remark)


def estimate_metrics(estimates: pl.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return a table of estimates as `{row: {metric: {"value": v, "low": l, "high": h}}}`, the form of `metrics.json`.

    The rows are `<policy>/<estimator>`, followed by `@<log>` where a policy was evaluated on several logs, and
    `<policy>/on_policy` where the policy has a log of its own. The metrics are `value`, `effective_sample_size`,
    `max_weight` and `relative_error`. An estimate with a warning has the value None and no error.

    Args:
        estimates: columns as in `SCHEMA`.
    """
    several = estimates.select(pl.struct("policy", "log").n_unique() > pl.col("policy").n_unique()).item()
    rows: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in estimates.iter_rows(named=True):
        if row["truth"] is not None:
            truth = {"value": row["truth"], "low": row["truth_low"], "high": row["truth_high"]}
            rows[f"{row['policy']}/on_policy"] = {"value": truth}
        name = f"{row['policy']}/{row['estimator']}" + (f"@{row['log']}" if several else "")
        hidden = ("value", "low", "high", "relative_error") if row["warning"] else ()
        told = {key: None if key in hidden else value for key, value in row.items()}
        rows[name] = {"value": {key: told[key] for key in ("value", "low", "high")}} | {
            key: {"value": told[key], "low": None, "high": None}
            for key in ("effective_sample_size", "max_weight", "relative_error")
            if told[key] is not None
        }
    return rows


def estimate_tables(estimates: pl.DataFrame, places: Mapping[str, str] | None = None) -> list[ConsoleTable]:
    """Return a printable table for each target policy and log, with one row an estimator.

    The title says the value of the policy that wrote the log and, where the target policy has a log of its own, its
    on-policy value. The columns are the value with its interval, the relative error, the effective sample size, the
    largest weight, and remarks. An estimate with a warning is printed as "no estimate", with the warning as remark.

    Args:
        estimates: columns as in `SCHEMA`.
        places: what a title says in place of the name of a log, such as the file of one that has no name of its own.
    """
    return [_table(part, places or {}) for part in estimates.partition_by("policy", "log", maintain_order=True)]


def _table(estimates: pl.DataFrame, places: Mapping[str, str]) -> ConsoleTable:
    first = estimates.row(0, named=True)
    log = first["log"]
    title = f"{first['policy']}, evaluated on {places.get(log, f'the log {log}')}"
    title += f", whose policy has value {significant(first['on_policy_value'])}"
    if first["truth"] is not None:
        title += f"; on-policy value {with_interval(first['truth'], first['truth_low'], first['truth_high'])}"
    names = ("value", "relative error", "effective sample size", "largest weight")
    remark = Column("", words=True, width=REMARK_WIDTH)
    rows = []
    for row in estimates.iter_rows(named=True):
        known = not row["warning"] and row["value"] is not None
        cells = [
            row["estimator"],
            with_interval(row["value"], row["low"], row["high"]) if known else "no estimate",
            percent(row["relative_error"]) if known and row["relative_error"] is not None else "",
            number(row["effective_sample_size"], 0),
            significant(row["max_weight"], 3),
            remarks(row),
        ]
        rows.append(cells)
    return ConsoleTable([Column("", words=True), *map(Column, names), remark], rows, title, lines="none")
