"""Stage: write one page that reports the comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from omegaconf import DictConfig, OmegaConf

from recsys.atomic import write_text
from recsys.bench.metrics import CORRELATION, RecordsByPolicy, curve, per_step, shown_figures
from recsys.bench.policy_grid import PolicyGrid
from recsys.bench.record import EpisodeRecord
from recsys.config.suggest import require_near_lines
from recsys.ranges import at_least
from recsys.report.cards import Card, Suggestion, card_grid
from recsys.report.chart import Series, line_chart
from recsys.report.forest import difference_charts
from recsys.report.markup import Markup, join
from recsys.report.page import Section, collapsible, page
from recsys.report.table import metrics_table
from recsys.report.trade_off import LEAD as TRADE_OFF
from recsys.report.trade_off import trade_off_chart
from recsys.rollouts.episode import EpisodeConfig
from recsys.runs.run import make_stage
from recsys.runs.run_folder import RunFolder

NAMES = {"click_rate": "click rate", "latency": "ms a slate"}


@dataclass
class BenchReport:
    """The table, differences, the trade-off, curves over time, and the slates of a few simulated users.

    Args:
        users: how many users' slates are shown, for each of `shown`.
        shown: policies whose slates are shown.
        lines: policies that a line joins in the chart of the trade-off, in this order, by the name of the line.
    """

    users: int = 3
    shown: Sequence[str] = ("greedy", "slate_thompson", "in_slate_thompson")
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)
    results: ClassVar[Sequence[str]] = ("report.html",)

    def __post_init__(self) -> None:
        at_least(0, users=self.users)

    @staticmethod
    def check_configuration(node: DictConfig, config: DictConfig) -> None:
        """Refuse lines through policies that are mistyped."""
        require_near_lines(node.get("lines") or {}, config.stage.play.get("policies") or {}, "lines")

    def run(self, run: RunFolder) -> None:
        """Write `report.html`."""
        config = OmegaConf.load(run.config)
        stage: PolicyGrid = make_stage(config.stage.play)
        records = stage.records(run)
        metrics = {row.removeprefix(f"{stage.simulator_name}/"): cells for row, cells in run.read_metrics().items()}
        columns = shown_figures(metrics)
        names = NAMES | {name: name.replace("_", " ") for name in columns if name.endswith(CORRELATION)}
        sections = [
            Section(
                "Results", metrics_table(metrics, columns, names=names, lower_is_better=("regret", "latency")), LEAD
            ),
            Section("Paired differences", difference_charts(metrics, "reward", "Reward", stage.references)),
            Section("Trade-off", trade_off_chart(metrics, self.lines, names), TRADE_OFF),
            Section("Over time", _curves(records), "Means over users; bands are 95 % intervals over seeds."),
            Section("Slates", self._slates(records), "The last slate of the first users, and what they clicked."),
            Section("Configuration", collapsible("config.yaml", run.config.read_text())),
        ]
        episode = stage.episode
        facts = {
            "simulator": stage.simulator_name,
            "items": f"{stage.simulator().num_items:,}",
            "users": f"{episode.users:,}",
            "steps": str(episode.steps),
            "slots": str(episode.slots),
            "seeds": str(stage.seeds),
        }
        write_text(run.report, page(str(config.name), sections, _subtitle(episode), facts))

    def _slates(self, records: RecordsByPolicy) -> Markup:
        cards = [
            _card(name, records[name][0], user)
            for user in range(self.users)
            for name in self.shown
            if name in records and user < records[name][0].active.shape[1]
        ]
        return card_grid(cards) if cards else join("None of the policies whose slates are shown was played.")


LEAD = (
    "Means a user and session with 95 % intervals over users and seeds. Every policy meets the same users with the same"
    " luck; regret is against the oracle, which knows what each item is worth now."
)


def _subtitle(episode: EpisodeConfig) -> str:
    return f"{episode.users:,} simulated users, up to {episode.steps} slates of {episode.slots}"


def _curves(records: RecordsByPolicy) -> Markup:
    found = {name: per_step(played) for name, played in records.items()}
    titles = {"click_rate": "Click rate of the users still there", "reward": "Reward so far, a user"}
    charts = [
        line_chart([_series(name, parts[metric]) for name, parts in found.items()], title, "step")
        for metric, title in titles.items()
    ]
    if "oracle" in found:
        best = found["oracle"]["reward"]
        series = [_series(name, best - parts["reward"]) for name, parts in found.items() if name != "oracle"]
        charts.append(line_chart(series, "Regret so far, a user", "step"))
    return join(*charts)


def _series(name: str, values: torch.Tensor) -> Series:
    drawn = curve(values)
    return Series(name, [float(step) for step in range(len(drawn.value))], drawn.value, drawn.low, drawn.high)


def _card(policy: str, record: EpisodeRecord, user: int) -> Card:
    """Return the last slate that the user saw, with the probability of each slot."""
    step = max(0, int(record.active[:, user].sum()) - 1)
    clicked = [
        f"item {int(item)}" for at in range(step) for item in record.items[at, user][record.reward[at, user] > 0]
    ]
    shown = zip(record.items[step, user], record.log_prob[step, user], record.reward[step, user], strict=True)
    return Card(
        name=f"user {user}, {policy}",
        history=clicked[-6:],
        suggestions=[
            Suggestion(f"item {int(item)}", float(chance.exp()), bool(reward > 0))
            for item, chance, reward in shown
            if item >= 0
        ],
        target=None,
        earlier=max(0, len(clicked) - 6),
    )
