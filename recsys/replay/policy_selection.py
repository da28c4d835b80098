"""Select the best of several policies on one half of a log and report it on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from recsys.data.logs.feedback_source import FeedbackLog
from recsys.errors import RequestError
from recsys.ranges import between
from recsys.replay.estimator_selection import EstimatorLike
from recsys.replay.evaluation import tabulate_estimates
from recsys.replay.options import ReplayOptions, TargetFactory
from recsys.replay.runner import replay


@dataclass(frozen=True)
class PolicyChoice:
    """A selected policy and its estimates.

    Args:
        policy: name of the selected policy.
        low: lower bound of its value, which fails with probability `risk` at most.
        considered: the selector's estimate of every policy on the half that selected, columns as in
            `recsys.replay.result.SCHEMA`; `low` is the bound that was compared.
        report: estimates of the selected policy on the other half, same columns.
    """

    policy: str
    low: float
    considered: pl.DataFrame
    report: pl.DataFrame


def choose_policy(
    logs: Mapping[str, FeedbackLog],
    policies: Mapping[str, TargetFactory],
    selector: EstimatorLike,
    estimators: Mapping[str, EstimatorLike],
    options: ReplayOptions | None = None,
    risk: float = 0.05,
) -> PolicyChoice:
    """Select the policy with the highest lower bound on one half of the users, and report it on the other half.

    Each of `m` policies has a bound that fails with probability `risk / m` (Bonferroni), so that the selected policy's
    value is below its bound with probability `risk` at most, as far as the intervals hold. Policies with a warning are
    not selected; of equal bounds, the policy that is named first is. The report comes from the other half, because the
    rounds that selected a policy flatter it. Reward models are fitted in each half separately.

    Args:
        logs: logs by name; with several, a policy's lowest bound counts.
        policies: candidate policies by name.
        selector: estimator that selects; it must have an interval.
        estimators: estimators that report, by name.
        options: options of the replay; `half` and, for the selection, `confidence` are set here.
        risk: probability of the failure of the bound, in (0, 0.5).

    Raises:
        ConfigurationError: `risk` is outside (0, 0.5).
        RequestError: a policy is made from the log itself (`PopularityTarget`), or no policy has an estimate without a
            warning.
    """
    between(0, 0.5, risk=risk)
    for name, made in policies.items():
        if getattr(made, "made_of_log", False):
            raise RequestError(f"policy {name!r} is made of the half that is to report: leave it out of the choice")
    options = options or ReplayOptions()
    first = replace(options, half=0, confidence=1 - 2 * risk / len(policies))
    considered = _estimates(logs, policies, {"selector": selector}, first)
    known = considered.filter(pl.col("warning") == "", pl.col("low").is_not_null())
    if known.is_empty():
        raise RequestError(f"the log gives no reliable estimate of any policy: {_warnings(considered)}")
    bounds = known.group_by("policy", maintain_order=True).agg(pl.col("low").min())
    best = bounds.sort("low", descending=True, maintain_order=True)
    policy, low = best.row(0)
    report = _estimates(logs, {policy: policies[policy]}, estimators, replace(options, half=1))
    return PolicyChoice(policy, low, considered, report)


def _estimates(
    logs: Mapping[str, FeedbackLog],
    policies: Mapping[str, TargetFactory],
    estimators: Mapping[str, EstimatorLike],
    options: ReplayOptions,
) -> pl.DataFrame:
    return tabulate_estimates(replay(logs, policies, estimators, options), estimators, options)


def _warnings(considered: pl.DataFrame) -> str:
    rows = considered.select("policy", "warning").iter_rows()
    return "; ".join(f"{policy}: {warning or 'the selector has no interval'}" for policy, warning in rows)
