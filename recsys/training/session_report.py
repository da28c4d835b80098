"""Sections of a report that show sessions of real users, and how far reward models can be trusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.report.formats import interval
from recsys.report.markup import Markup, element, join
from recsys.report.page import Section, small_multiples
from recsys.report.table import metrics_table
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.training.report_sections import reliability_chart
from recsys.training.session_details import DISAGREEMENTS, MODELS, SESSIONS
from recsys.training.session_tables import DIFFERENCE


@dataclass
class JudgedTable:
    """What the judge thinks of the sessions of every row, and how they agree with what users engaged with.

    Args:
        lead: what is said above.
    """

    lead: str = (
        "judge_mean and judge_max: mean and largest probability of the held-out judge over the sampled sessions of a "
        "request. recall and ndcg: of the session that is served, for the items that the user engaged with. The judge "
        "is a model; where it and the outcomes disagree, the outcomes are right."
    )

    def section(self, run: RunFolder) -> Section:
        """Return one table of judged figures and one of outcomes."""
        metrics = run.read_metrics()
        columns = [name for name in next(iter(metrics.values())) if "_minus_" not in name]
        judged = [name for name in columns if name.startswith("judge_")]
        outcomes = [name for name in columns if name not in judged]
        found = json.loads((run.stage("evaluate") / f"{DISAGREEMENTS}.json").read_text())
        return Section(
            "Results", join(metrics_table(metrics, judged), metrics_table(metrics, outcomes), _apart(found)), self.lead
        )


@dataclass
class SessionExamples:
    """The sessions that every row answers a few users with, beside what they were shown and engaged with.

    Args:
        lead: what is said above.
    """

    reads: ClassVar[type] = PreparedSlates

    lead: str = "Sessions of users of the test set; items that the user engaged with in the logged session are marked."

    def section(self, run: RunFolder) -> Section:
        """Return a table for each user."""
        found = json.loads((run.stage("evaluate") / f"{SESSIONS}.json").read_text())
        titles = _titles(load_data_of(run, PreparedSlates))
        return Section("Sessions", join(*(_user(one, titles) for one in found)), self.lead)


@dataclass
class RewardModels:
    """How well the reward model and its judge order and predict what happened in the test sessions.

    Args:
        lead: what is said above.
    """

    lead: str = (
        "AUC: share of pairs of sessions with different feedback that a head orders rightly. Calibration: predicted "
        "against observed, ten bins with equally many sessions each."
    )

    def section(self, run: RunFolder) -> Section:
        """Return a table, and a small chart for each head of each model."""
        found = json.loads((run.stage("evaluate") / f"{MODELS}.json").read_text())
        rows = {
            f"{model.replace('_', ' ')}: {head}": {
                name: {"value": one[name], "low": None, "high": None}
                for name in ("auc", "calibration_error", "mean_predicted", "mean_observed")
            }
            for model, heads in found.items()
            for head, one in heads.items()
        }
        names = {name: name.replace("_", " ") for name in ("calibration_error", "mean_predicted", "mean_observed")}
        table = metrics_table(rows, None, None, {**names, "auc": "AUC"}, ["calibration_error"])
        charts = [
            reliability_chart(f"{model.replace('_', ' ')}: {head}", one["curve"])
            for model, heads in found.items()
            for head, one in heads.items()
        ]
        return Section("Reward models", join(table, small_multiples(charts)), self.lead)


def _apart(found: Sequence[Mapping[str, Any]]) -> Markup:
    """Return a sentence for each row about which the judge and the users disagree."""
    if not found:
        return element(
            "p", "The judge and the users nowhere disagree so that both intervals leave out 0.", class_="note"
        )
    told = [
        element(
            "li",
            f"{one['row']}: the judge's {one['head']} {_signed(one['judged'])}, the users' ndcg/{one['channel']} "
            f"{_signed(one['real'])}",
        )
        for one in found
    ]
    return join(element("p", "The judge and the users disagree, against the first reference:"), element("ul", *told))


def _signed(cell: Mapping[str, float]) -> str:
    return f"{DIFFERENCE(cell['value'])} {interval(cell['low'], cell['high'], DIFFERENCE)}"


def _titles(data: PreparedSlates) -> Callable[[int], str]:
    column = data.items["title" if "title" in data.items.columns else "item_id"]
    return lambda item: str(column[item])


def _user(one: Mapping[str, Any], titles: Callable[[int], str]) -> Markup:
    engaged = set(one["engaged"])

    def row(name: str, items: Sequence[int]) -> Markup:
        cells = [
            element("td", element("b", titles(item), class_="hit") if item in engaged else titles(item))
            for item in items
            if item >= 0
        ]
        return element("tr", element("th", name, scope="row"), *cells)

    rows = [row("shown", one["logged"]), *(row(name, items) for name, items in one["answers"].items())]
    history = ", ".join(titles(item) for item in one["history"]) or "nothing"
    return join(
        element("h3", f"user {one['user_id']}"),
        element("p", "took before: ", history, class_="note"),
        element("div", element("table", element("tbody", *rows), class_="metrics"), class_="wide", tabindex=0),
    )
