"""Stage: every policy of the run asked the same held-out requests, once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import polars as pl
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from recsys.data.context import Context
from recsys.data.dataset import Dataset
from recsys.metrics.evaluation import Evaluation
from recsys.metrics.intervals import Interval
from recsys.metrics.novelty import self_information
from recsys.metrics.strata import by_stratum
from recsys.metrics.summary import summarise
from recsys.models.sasrec import SASRec
from recsys.policies.evaluation import evaluate
from recsys.policies.generative import GenerativePolicy
from recsys.policies.mixture import Mixture, best_weight
from recsys.policies.policy import ItemPolicy
from recsys.train.networks import load_network
from recsys.train.run_folder import RunFolder
from recsys.train.stages.prepare import load_dataset
from recsys.train.stages.tokenize import load_bundle
from recsys.train.stages.training import arm_folders, best_arm

CountPolicy = Callable[[Context, int], ItemPolicy]
"""Fits a policy to training histories, given the size of the catalogue."""
LISTS = "lists.parquet"

log = logging.getLogger(__name__)


class Evaluate:
    """Rank the whole catalogue, without what a request excludes, for every test request.

    Rows: each of `counts`, each trained arm, and `mixture`, the arm that validates best mixed with one of the counts by
    the weight that validates best. Intervals: bootstrap over users; every row's paired difference to `reference`.

    Args:
        counts: policies that only count, by the name of their row.
        reference: the row that others are compared with.
        mixed: the row of `counts` that goes into the mixture; None leaves the mixture out.
        beams: width of the search; lists are as exact as it is wide.
        seed: of the bootstrap, and the name of this run in `metrics.parquet`.
        limit: batches of requests, at most (dry runs); None for all.
    """

    inputs: ClassVar[Sequence[str]] = ("prepare", "tokenize", "sft", "rl")
    results: ClassVar[Sequence[str]] = ("metrics.json", "metrics.parquet")

    def __init__(
        self,
        counts: Mapping[str, CountPolicy],
        reference: str = "sft",
        mixed: str | None = "markov",
        beams: int = 50,
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        self.counts = counts
        self.reference = reference
        self.mixed = mixed
        self.beams = beams
        self.seed = seed
        self.limit = limit

    def run(self, run: RunFolder) -> None:
        """Evaluate, write `metrics.json` and `metrics.parquet`, print the table."""
        dataset = load_dataset(run)
        test = dataset.test if self.limit is None else first(dataset.test, self.limit * 256)
        found = {name: evaluate(policy, test, description=name) for name, policy in self.policies(run, dataset).items()}
        information = self_information(torch.from_numpy(dataset.items["interactions"].to_numpy().copy()))
        values = {
            name: {k: v.unsqueeze(0) for k, v in (one.accuracy() | one.novelty(information)).items()}
            for name, one in found.items()
        }
        table = summarise(values, test.users, references=[self.reference], seed=self.seed)
        if "test" in dataset.same_day:
            same = dataset.same_day["test"][: len(test)]
            accuracy = {name: {k: row[k] for k in ("hr@10", "ndcg@10")} for name, row in values.items()}
            for name, cells in by_stratum(accuracy, test.users, {"same_day": same, "other_day": ~same}).items():
                table[name] |= cells
        for name, one in found.items():
            table[name] |= {metric: Interval(value) for metric, value in one.reach(dataset.num_items).items()}
        self._write(run, dataset, test, values, table, found)
        kept = "kept" if dataset.repeats else "excluded"
        Console().print(rich_table(table, self.reference, f"{dataset.name}: {len(test):,} requests, items a user had {kept}"))

    def policies(self, run: RunFolder, dataset: Dataset) -> dict[str, ItemPolicy]:
        """Every row's policy, the counting ones first."""
        bundle = load_bundle(run)
        rows: dict[str, ItemPolicy] = {
            name: fit(dataset.train, dataset.num_items) for name, fit in self.counts.items()
        }
        networks = {name: load_network(folder, bundle) for name, folder in arm_folders(run)}
        rows |= {name: GenerativePolicy(network, self.beams) for name, network in networks.items()}
        if self.mixed is not None and networks:
            best = best_arm(run, [name for name, network in networks.items() if not isinstance(network, SASRec)])
            validation = dataset.validation if self.limit is None else first(dataset.validation, self.limit * 256)
            weight = best_weight(rows[best], rows[self.mixed], validation)
            log.info("mixture: %.2f %s + %.2f %s, by validation", 1 - weight, best, weight, self.mixed)
            rows["mixture"] = Mixture([rows[best], rows[self.mixed]], [1 - weight, weight])
        return rows

    def _write(
        self,
        run: RunFolder,
        dataset: Dataset,
        test: Context,
        values: Mapping[str, Mapping[str, Tensor]],
        table: Mapping[str, Mapping[str, Interval]],
        found: Mapping[str, Evaluation],
    ) -> None:
        users = dataset.users["user_id"].gather(test.users.numpy())
        parts = [
            pl.DataFrame({"user_id": users, "value": value[0].numpy()}).select(
                "user_id", pl.lit(row).alias("row"), pl.lit(metric).alias("metric"), seed=pl.lit(self.seed), value="value"
            )
            for row, metrics in values.items()
            for metric, value in metrics.items()
        ]
        pl.concat(parts).write_parquet(run.metrics_table)
        lists = pl.DataFrame({name: one.items[:, :10].numpy() for name, one in found.items()})
        lists.write_parquet(run.stage("evaluate") / LISTS)
        plain = {row: {metric: cell.to_dict() for metric, cell in cells.items()} for row, cells in table.items()}
        run.metrics.write_text(json.dumps(plain, indent=1))


def first(requests: Context, count: int) -> Context:
    """At most `count` requests, in their order."""
    return requests.select(torch.arange(min(count, len(requests))))


def rich_table(table: Mapping[str, Mapping[str, Interval]], reference: str, title: str) -> Table:
    """The run's rows for a terminal: accuracy with its interval, the paired difference, hits by depth, coverage."""
    plain = ["hr@1", "hr@5", "hr@10", "hr@20", "hr@50", "ndcg@5", "ndcg@20", "ndcg@50", "coverage@10"]
    view = Table(title=title, title_justify="left")
    for name in ["", "ndcg@10 [95 %]", f"− {reference} [95 %]", *plain]:
        view.add_column(name, no_wrap=True)
    for row, cells in table.items():
        difference = cells.get(f"ndcg@10_minus_{reference}")
        shown = [cells[metric].value for metric in plain]
        view.add_row(
            row, _cell(cells["ndcg@10"]), _cell(difference, "+") if difference else "", *(_short(value) for value in shown)
        )
    return view


def _cell(interval: Interval, sign: str = "") -> str:
    value = _short(interval.value, sign)
    return value if interval.low is None else f"{value} [{_short(interval.low, sign)}, {_short(interval.high, sign)}]"


def _short(value: float | None, sign: str = "") -> str:
    """Four places without the leading zero.

    >>> _short(0.1234), _short(-0.0051, "+")
    ('.1234', '−.0051')
    """
    return "" if value is None else f"{value:{sign}.4f}".replace("0.", ".", 1).replace("-", "−")


