"""Stage: write one page that reports a run of slate models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from omegaconf import OmegaConf

from recsys.atomic import write_text
from recsys.data.datasets.slate_loader import SlateTestSet
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.user_slates import UserSlates
from recsys.models.slates.slate_model import forecast
from recsys.report.cards import Card, Suggestion, card_grid
from recsys.report.chart import SMALL, Series, line_chart
from recsys.report.forest import difference_charts
from recsys.report.markup import Markup
from recsys.report.page import Section, collapsible, page, small_multiples
from recsys.report.table import metrics_table
from recsys.runs.artifacts import artifacts, load
from recsys.runs.prepare import load_slate_log
from recsys.runs.run_folder import RunFolder
from recsys.training.evaluate_slates import CALIBRATION_FILE
from recsys.training.report import learning_curves
from recsys.types.artifact_kind import ArtifactKind

METRICS = ("log_likelihood", "click_log_likelihood")
NAMES = {
    "log_likelihood": "answer, nats",
    "click_log_likelihood": "click, nats",
    "log_likelihood/rare": "rare items",
    "log_likelihood/search": "search",
    "log_likelihood/recommendation": "recommendation",
    "calibration_error": "calibration error",
    "covered/click": "click probabilities held",
    "covered/distance": "distances held",
    "covered/no_click": "no-click scores held",
    "gamma": "γ",
}


@dataclass
class ReportSlates:
    """The table, paired differences, curves, whether stated probabilities hold, and the slates of a few users.

    Args:
        users: how many users' slates are shown.
        seed: of their choice, and of the draws of what is forecast for them.
        inputs: stages this one reads.
    """

    users: int = 6
    seed: int = 0
    inputs: Sequence[str] = ("prepare", "fit", "evaluate")
    results: ClassVar[Sequence[str]] = ("report.html",)

    def run(self, run: RunFolder) -> None:
        """Write `report.html`."""
        slates, split = load_slate_log(run)
        config, metrics = OmegaConf.load(run.config), run.read_metrics()
        references = config.stage.evaluate.references
        columns = [name for name in NAMES if any(name in cells for cells in metrics.values())]
        calibration = json.loads((run.stage("evaluate") / CALIBRATION_FILE).read_text())
        held = SlateTestSet.from_split(slates, split)
        sections = [
            Section(
                "Results", metrics_table(metrics, columns, names=NAMES, lower_is_better=("calibration_error",)), LEAD
            ),
            Section(
                "Paired differences",
                difference_charts(metrics, "click_log_likelihood", "Nats a clicked slate", references),
                "Which slot was clicked, given that one was: what all rows can be compared by.",
            ),
            Section(
                "Learning curves",
                learning_curves(run, "validation/log_likelihood"),
                "Validation log-likelihood, each arm's own.",
            ),
            Section("Calibration", _calibration(calibration), CALIBRATED),
            Section(
                "Slates",
                self._cards(run, slates, held),
                FORECAST,
            ),
            Section("Configuration", collapsible("config.yaml", run.config.read_text())),
        ]
        facts = {
            "data": slates.name,
            "users": f"{slates.num_users:,}",
            "items": f"{slates.num_items:,}",
            "held-out slates": f"{len(held.row):,}",
            "seed": str(config.seed),
        }
        write_text(run.report, page(str(config.name), sections, slates.describe(), facts))

    def _cards(self, run: RunFolder, slates: SlateLog, held: SlateTestSet) -> Markup:
        metrics = run.read_metrics()
        best = max(
            (one.name for one in artifacts(run, ArtifactKind.POSTERIOR)),
            key=lambda name: metrics[name]["log_likelihood"]["value"],
        )
        model = load(run, best)
        generator = torch.Generator().manual_seed(self.seed)
        batch = held.batches[0]
        probability = forecast(model, batch, 64, generator).mean(0)
        chosen = torch.randperm(len(batch), generator=generator)[: self.users].tolist()
        users = held.user.unique()
        return card_grid([_card(slates, batch, probability[user], user, int(users[user])) for user in chosen])


CURVES = "Validation log-likelihood, each arm's own."
LEAD = (
    "Means over held-out slates with 95 % intervals by bootstrap over users; each click is forecast from the clicks"
    " before it. Shares held are of true values inside 90 % intervals, where the world is known."
)
FORECAST = "Held-out slates, and how likely the arm with the best answers held each click to be."
CALIBRATED = (
    "What was held to be so likely happened so often: in ten bins of equally many shown slots, with 95 % intervals."
)


def _calibration(curves: dict[str, dict[str, list[float]]]) -> Markup:
    charts = [
        line_chart(
            [
                Series("observed", one["predicted"], one["observed"], one["low"], one["high"]),
                Series("predicted", one["predicted"], one["predicted"]),
            ],
            name,
            "probability said",
            size=SMALL,
        )
        for name, one in curves.items()
    ]
    return small_multiples(charts)


def _card(slates: SlateLog, batch: UserSlates, probability: torch.Tensor, user: int, index: int) -> Card:
    """The user's last held-out slate, the most likely clicks first."""
    step = int(batch.loss_mask[user].nonzero().max())
    before = [
        _title(slates, int(items[click]))
        for items, click in zip(batch.slates[user, :step], batch.click[user, :step].tolist(), strict=True)
        if click >= 0
    ]
    items, click = batch.slates[user, step], int(batch.click[user, step])
    likely = [slot for slot in probability[step, :-1].argsort(descending=True).tolist() if items[slot] >= 0]
    return Card(
        name=f"user {slates.users['user_id'][index]}",
        history=before[-6:],
        suggestions=[
            Suggestion(_title(slates, int(items[slot])), float(probability[step, slot]), slot == click)
            for slot in likely[:6]
        ],
        target=None if click < 0 else _title(slates, int(items[click])),
        earlier=max(0, len(before) - 6),
    )


def _title(slates: SlateLog, item: int) -> str:
    column = "title" if "title" in slates.items.columns else "item_id"
    return str(slates.items[column][item])
