"""Evaluate the policies of a run by ranking the whole catalogue for the same held-out requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import ClassVar

import torch
from omegaconf import DictConfig
from torch import Tensor

from recsys.config.suggest import suggestion
from recsys.data.datasets.dataset import Dataset
from recsys.errors import ConfigurationError, RequestError
from recsys.metrics.diversity import self_information
from recsys.metrics.results import Results, evaluation_results, per_user
from recsys.models.generators.sasrec import SASRec
from recsys.policies.evaluation import CUTOFFS, evaluate
from recsys.policies.mixture import Mixture, best_weight
from recsys.policies.network_policy import NetworkPolicy
from recsys.policies.policy import ItemPolicy
from recsys.ranges import at_least, is_seed
from recsys.report.console import Column, ConsoleTable
from recsys.report.formats import interval, number
from recsys.runs.artifacts import artifacts, best_artifact, load
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.training.evaluate import EvaluationResult
from recsys.training.row_validation import VALIDATION, finite_or_none, highest, stored_validation
from recsys.types.artifact_kind import ArtifactKind
from recsys.types.context import Context
from recsys.types.example import Example

BaselineFactory = Callable[[Context, int], ItemPolicy]
"""Fits a policy to training histories, given the size of the catalogue."""

MIXTURE = "mixture"
"""The row of the policy that validates best, mixed with a baseline."""

log = logging.getLogger(__name__)


class RankingEvaluation:
    """Rank the whole catalogue, without what a request excludes, for every test request.

    Rows: each of `baselines`, each trained policy, and `mixture`: the policy that validates best, SASRec apart, mixed
    with one of the baselines by the weight that validates best. Intervals by bootstrap over users, and paired
    differences to each of `references`.

    Args:
        baselines: policies that are fitted to the training histories here, by the name of their row.
        references: rows that all others are compared with; the first one's differences are printed.
        mixed: the row of `baselines` that goes into the mixture; None leaves the mixture out.
        beams: width of the search; lists are as exact as it is wide.
        seed: of the bootstrap, and the name of this run in `metrics.parquet`.
        limit: batches of requests, at most (dry runs); None for all.

    Raises:
        ConfigurationError: `mixed` is none of the baselines.
    """

    reads: ClassVar[type] = Dataset
    slots: ClassVar[int | None] = None  # answers are lists of single items

    def __init__(
        self,
        baselines: Mapping[str, BaselineFactory],
        references: Sequence[str] = ("sft", "sft_continued"),
        mixed: str | None = "markov",
        beams: int = 50,
        seed: int = 0,
        limit: int | None = None,
    ) -> None:
        at_least(1, beams=beams, limit=limit)
        is_seed(seed=seed)
        if mixed is not None and mixed not in baselines:
            raise ConfigurationError(f"evaluation.mixed={mixed}: no such baseline; {suggestion(mixed, baselines)}")
        self.baselines = baselines
        self.references = list(references)
        self.mixed = mixed
        self.beams = beams
        self.seed = seed
        self.limit = limit

    @staticmethod
    def own_rows(node: DictConfig) -> list[str]:
        """Return the names of the baselines, and that of the mixture where there is one."""
        return [*node.baselines, *([] if node.get("mixed", "") is None else [MIXTURE])]

    def evaluate(self, run: RunFolder) -> EvaluationResult:
        """Return the accuracy of every row.

        Raises:
            ConfigurationError: the run prepared other data than sequences.
        """
        dataset = load_data_of(run, Dataset)
        test = self._part(dataset.test)
        policies = self.policies(run, dataset)
        rows = {name: {self.seed: evaluate(policy, test, description=name)} for name, policy in policies.items()}
        table = evaluation_results(
            rows,
            dataset.num_items,
            references=self.references,
            strata=_strata(dataset, len(test)),
            information=self_information(torch.from_numpy(dataset.items["interactions"].to_numpy().copy())),
            seed=self.seed,
        )
        kept = "included" if dataset.repeats else "excluded"
        title = f"{dataset.name}: {len(test):,} requests, full catalogue, seen items {kept}"
        tables = [accuracy_table(table, next(iter(self.references), None), title), depth_table(table)]
        details = {VALIDATION: self._validation(policies, dataset)}
        return EvaluationResult(table, per_user(rows, dataset.users["user_id"]), tables, details)

    def policy_of(self, run: RunFolder, dataset: Dataset, row: str) -> ItemPolicy:
        """Return the policy of one row: a baseline is fitted, the mixture gets its weight by validation.

        Raises:
            RequestError: there is no such row.
        """
        if row in self.baselines:
            return self.baselines[row](dataset.train, dataset.num_items)
        trained = [one.name for one in artifacts(run, ArtifactKind.POLICY)]
        if row in trained:
            return searching(load(run, row), self.beams)
        policies = self.policies(run, dataset) if row == MIXTURE else {}
        if row not in policies:
            names = [*self.baselines, *trained, *([] if self.mixed is None else [MIXTURE])]
            raise RequestError(f"row={row}: {run.path} has no such row; {suggestion(row, names)}")
        return policies[row]

    def best_row(self, run: RunFolder, dataset: Dataset, among: Sequence[str] | None = None) -> str:
        """Return the row with the highest NDCG@10 on the validation requests, the first of several.

        The evaluation leaves these figures in its folder (`validation.json`); they are computed where they are missing.
        Without validation requests it is the training with the best score.

        Args:
            run: a run folder.
            dataset: what it prepared.
            among: rows to choose from; None means all.

        Raises:
            RequestError: the evaluation's figures were damaged.
        """
        found = stored_validation(run)
        if not {*self.baselines, *(one.name for one in artifacts(run, ArtifactKind.POLICY))} <= set(found):
            found = self._validation(self.policies(run, dataset), dataset)
        best = highest(found, among)
        return best_artifact(artifacts(run, ArtifactKind.POLICY)).name if best is None else best

    def _validation(self, policies: Mapping[str, ItemPolicy], dataset: Dataset) -> dict[str, float | None]:
        """Return the mean NDCG@10 of each row over the validation requests; None where it is not finite or unknown."""
        requests = self._part(dataset.validation)
        if len(requests) == 0:
            return dict.fromkeys(policies)
        return {
            name: finite_or_none(float(evaluate(policy, requests, description=name).accuracy()["ndcg@10"].mean()))
            for name, policy in policies.items()
        }

    def policies(self, run: RunFolder, dataset: Dataset) -> dict[str, ItemPolicy]:
        """Return every row's policy, the baselines first."""
        rows: dict[str, ItemPolicy] = {
            name: fit(dataset.train, dataset.num_items) for name, fit in self.baselines.items()
        }
        trained = artifacts(run, ArtifactKind.POLICY)
        rows |= {one.name: searching(load(run, one.name), self.beams) for one in trained}
        ours = [one for one in trained if not isinstance(getattr(rows[one.name], "network", None), SASRec)]
        if self.mixed is not None and ours:
            best = best_artifact(ours).name
            weight = best_weight(rows[best], rows[self.mixed], self._part(dataset.validation))
            log.info("mixture: %.2f %s + %.2f %s, by validation", 1 - weight, best, weight, self.mixed)
            rows[MIXTURE] = Mixture([rows[best], rows[self.mixed]], [1 - weight, weight])
        return rows

    def _part(self, examples: Example) -> Example:
        """Return the first requests, or all where there is no limit."""
        return examples if self.limit is None else first(examples, self.limit * 256)


ROW = Column("", words=True)
"""The column with the names of the rows."""

METRIC = partial(number, leading_zero=False)
DIFFERENCE = partial(METRIC, signed=True)


def searching(policy: ItemPolicy, beams: int) -> ItemPolicy:
    """Return the same policy with as many beams, where it searches."""
    if isinstance(policy, NetworkPolicy):
        policy.beams = beams
    return policy


def first(examples: Example, count: int) -> Example:
    """Return at most `count` examples, in their order."""
    return examples.select(torch.arange(min(count, len(examples))))


def accuracy_table(table: Results, reference: str | None, title: str) -> ConsoleTable:
    """Return NDCG@10 of each row with its interval and its paired difference to the reference, and coverage.

    Below the table stands, for each row that has any, the share of requests whose first ten items are one choice of
    several (`tied@10`).
    """
    minus = [] if reference is None else [Column(f"minus\n{reference}"), Column("95 %")]
    metrics = [Column("hr\n@10"), Column("coverage\n@10")]
    columns = [ROW, Column("ndcg\n@10"), Column("95 %"), *minus, *metrics]
    rows = []
    for row, cells in table.items():
        difference = cells.get(f"ndcg@10_minus_{reference}")
        shown = ("", "") if difference is None else _value_and_interval(difference, DIFFERENCE)
        figures = (METRIC(cells[metric]["value"]) for metric in ("hr@10", "coverage@10"))
        rows.append([row, *_value_and_interval(cells["ndcg@10"], METRIC), *shown[: len(minus)], *figures])
    tied = {row: cells["tied@10"]["value"] or 0.0 for row, cells in table.items() if "tied@10" in cells}
    shares = ", ".join(f"{row} {share:.1%}" for row, share in tied.items() if share)
    caption = f"requests with equal scores at places 10 and 11: {shares}" if shares else ""
    return ConsoleTable(columns, rows, title, caption)


def depth_table(table: Results) -> ConsoleTable:
    """Return hit rate and NDCG of each row at every depth; NDCG@1 is the hit rate at 1."""
    depths = [*(f"hr@{k}" for k in CUTOFFS), *(f"ndcg@{k}" for k in CUTOFFS[1:])]
    rows = [[row, *(METRIC(cells[metric]["value"]) for metric in depths)] for row, cells in table.items()]
    return ConsoleTable([ROW, *(Column(name.replace("@", "\n@")) for name in depths)], rows)


def _value_and_interval(cell: Mapping[str, float | None], form: Callable[[float | None], str]) -> tuple[str, str]:
    return form(cell["value"]), interval(cell["low"], cell["high"], form)


def _strata(dataset: Dataset, requests: int) -> dict[str, Tensor]:
    same = dataset.same_day.get("test")
    return {} if same is None else {"same_day": same[:requests], "other_day": ~same[:requests]}
