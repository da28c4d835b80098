"""Choose the best of several policies on one half of a log and report it on the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import polars as pl

from recsys.data.logs.feedback_source import FeedbackLog
from recsys.errors import ConfigurationError, RequestError
from recsys.replay.estimator_selection import EstimatorLike
from recsys.replay.evaluation import tabulate_estimates
from recsys.replay.options import ReplayOptions, TargetFactory
from recsys.replay.runner import replay


@dataclass(frozen=True)
class PolicyChoice:
    """What was chosen and what is said of it.

    Args:
        policy: chosen.
        low: what it earns at least, but for the risk.
        considered: every policy's estimate on the half that chose, columns as in `recsys.replay.result.SCHEMA`;
            `low` is the bound that was compared.
        report: the chosen policy's estimates on the other half.
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
    """The policy whose value is surely largest: that with the highest lower bound on one half of the users.

    Each of `m` policies has a bound that fails with a chance of `risk / m` (Bonferroni), so that the chosen one earns
    less than its bound with a chance of at most `risk`, as far as the intervals hold. Policies of which the log does
    not tell are not chosen. What is reported comes from the other half: the same rounds would flatter whoever was
    chosen by them. Models of rewards are fitted anew in each half.

    Args:
        logs: by name; where there are several, a policy's lowest bound counts.
        policies: to choose from, by name.
        selector: the estimator that chooses; has an interval.
        estimators: those that report, by name.
        options: how; its `half` is set here.
        risk: in (0, 0.5).

    Raises:
        ConfigurationError: `risk` is something else.
        RequestError: a policy is made of the log (`PopularityTarget`), or the log tells of no policy.
    """
    if not 0 < risk < 0.5:
        raise ConfigurationError(f"risk={risk}: expected a number between 0 and 0.5, such as 0.05")
    for name, made in policies.items():
        if getattr(made, "made_of_log", False):
            raise RequestError(f"policy {name!r} is made of the half that is to report: leave it out of the choice")
    options = options or ReplayOptions()
    first = replace(options, half=0, confidence=1 - 2 * risk / len(policies))
    considered = _estimates(logs, policies, {"selector": selector}, first)
    known = considered.filter(pl.col("warning") == "", pl.col("low").is_not_null())
    if known.is_empty():
        raise RequestError(f"the log gives no reliable estimate of any policy: {_warnings(considered)}")
    best = known.group_by("policy", maintain_order=True).agg(pl.col("low").min()).sort("low", descending=True)
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
