"""Stage: write one page that reports the run, with its learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl
import torch
from omegaconf import OmegaConf

from recsys.atomic import write_text
from recsys.data.datasets.dataset import Dataset
from recsys.policies.network_policy import NetworkPolicy
from recsys.report.cards import Card, Suggestion, card_grid
from recsys.report.chart import Series, downsampled, line_chart
from recsys.report.forest import difference_charts
from recsys.report.markup import Markup, join
from recsys.report.page import Section, collapsible, page, small_multiples
from recsys.report.table import metrics_table
from recsys.runs.artifacts import artifact_folders, artifacts, best_artifact, load
from recsys.runs.prepare import load_dataset
from recsys.runs.run_folder import RunFolder
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.example import Example


def training_folders(run: RunFolder) -> dict[str, Path]:
    """The folder of each training that left a curve, by name."""
    folders = artifact_folders(run)
    return {name: folder for name, folder in folders.items() if (folder / "history.parquet").exists()}


def variant_history(run: RunFolder) -> pl.DataFrame:
    """Rows of `step`, `metric`, `value` and `arm`, of all training stages."""
    return pl.concat(
        [
            pl.read_parquet(folder / "history.parquet").with_columns(arm=pl.lit(name))
            for name, folder in training_folders(run).items()
        ]
    )


def variant_series(history: pl.DataFrame, metric: str) -> list[Series]:
    """A line an arm."""
    of_metric = history.filter(pl.col("metric") == metric)
    return [
        downsampled(Series(str(arm), part["step"].to_list(), part["value"].to_list()))
        for (arm,), part in of_metric.group_by("arm", maintain_order=True)
    ]


def learning_curves(run: RunFolder, metric: str) -> Markup:
    """A chart of one metric over optimizer steps."""
    return line_chart(variant_series(variant_history(run), metric), metric, "optimizer steps")


NAMES = {"item_knn": "item-kNN", "markov": "Markov counts", "sasrec": "SASRec"}
COLUMNS = [f"{metric}@{k}" for metric in ("hr", "ndcg") for k in (1, 5, 10, 20, 50)] + ["coverage@10", "novelty@10"]


@dataclass
class Report:
    """Curves, the table, paired differences, and what a few real users would have seen.

    Args:
        users: how many users' histories and lists are shown.
        seed: of their choice.
        inputs: stages this one reads.
    """

    users: int = 6
    seed: int = 0
    inputs: Sequence[str] = ("prepare", "tokenize", "sft", "rl", "evaluate")
    results: ClassVar[Sequence[str]] = ("report.html",)

    def run(self, run: RunFolder) -> None:
        """Write `report.html`."""
        dataset, config = load_dataset(run), OmegaConf.load(run.config)
        metrics, history = run.read_metrics(), variant_history(run)
        references = config.stage.evaluate.references
        sections = [
            Section("Results", metrics_table(metrics, columns=COLUMNS, names=NAMES), _lead(dataset)),
            Section("Paired differences", difference_charts(metrics, "ndcg@10", "NDCG@10", references)),
            Section(
                "Learning curves", learning_curves(run, "validation/ndcg@10"), "Validation NDCG@10 of averaged weights."
            ),
            Section("Reward and health", _health(history), "What reward training was watched by, step by step."),
            Section("What users would see", self._cards(run, dataset)),
            Section("Configuration", collapsible("config.yaml", run.config.read_text())),
        ]
        facts = {
            "data": dataset.name,
            "users": f"{dataset.num_users:,}",
            "items": f"{dataset.num_items:,}",
            "test requests": f"{len(dataset.test):,}",
            "seed": str(config.seed),
        }
        write_text(run.report, page(str(config.name), sections, dataset.describe(), facts))

    def _cards(self, run: RunFolder, dataset: Dataset) -> Markup:
        policy = load(run, best_artifact(artifacts(run, ArtifactKind.POLICY)).name)
        if isinstance(policy, NetworkPolicy):
            policy.beams = 50
        generator = torch.Generator().manual_seed(self.seed)
        chosen = dataset.test.select(torch.randperm(len(dataset.test), generator=generator)[: self.users])
        with torch.no_grad():
            slates = policy.top(chosen.context, 5)
        items, shares = slates.items.squeeze(-1), slates.log_prob.squeeze(-1).exp()
        return card_grid([_card(dataset, chosen, row, items[row], shares[row]) for row in range(len(chosen))])


def _lead(dataset: Dataset) -> str:
    kept = "kept in" if dataset.repeats else "excluded from"
    return f"Ranking over the full catalogue; items a user had are {kept} it. 95 % intervals by bootstrap over users."


def _health(history: pl.DataFrame) -> Markup:
    trained = history.filter(pl.col("metric").str.starts_with("train/"))
    rewarded = trained.filter(pl.col("metric") == "train/reward_mean")["arm"].unique()
    shown = trained.filter(pl.col("arm").is_in(rewarded.implode()))
    names = shown["metric"].unique(maintain_order=True).to_list()
    if not names:
        return join("No stage of this run was trained with reward.")
    return small_multiples(
        [line_chart(variant_series(shown, name), name.removeprefix("train/"), "step") for name in names]
    )


def _card(dataset: Dataset, examples: Example, row: int, items: torch.Tensor, shares: torch.Tensor) -> Card:
    target, one = int(examples.item[row]), examples.context.select(torch.tensor([row]))
    recent = one.history.last(6).values.tolist()
    return Card(
        name=f"user {dataset.users['user_id'][int(one.users[0])]}",
        history=[_title(dataset, item) for item in recent],
        suggestions=[
            Suggestion(_title(dataset, item), share, item == target)
            for item, share in zip(items.tolist(), shares.tolist(), strict=True)
            if item >= 0
        ],
        target=_title(dataset, target),
        earlier=len(one.history.values) - len(recent),
    )


def _title(dataset: Dataset, item: int) -> str:
    column = "title" if "title" in dataset.items.columns else "item_id"
    return str(dataset.items[column][item])
