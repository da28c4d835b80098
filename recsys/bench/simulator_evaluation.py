"""The evaluation of a run that trains policies in a simulator: they are played there beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from omegaconf import DictConfig

from recsys.bench.comparison import compare
from recsys.bench.console import comparison_table
from recsys.bench.grid import Configured
from recsys.ranges import at_least
from recsys.rollouts.preparation import PreparedSimulator
from recsys.runs.artifacts import artifacts, load
from recsys.runs.prepare import load_data_of
from recsys.runs.run_folder import RunFolder
from recsys.training.evaluate import EvaluationResult
from recsys.types.artifact_kind import ArtifactKind


@dataclass
class SimulatorEvaluation:
    """Plays every policy of a run, and baselines, with the same users (`recsys.bench.compare`).

    Args:
        baselines: configuration of further policies by name; they are made anew for each seed and learn if they can.
            One called `oracle` is what regret is measured against.
        users: at once.
        steps: slates a user is shown at most.
        slots: of a slate.
        seeds: how many, from 0.
        references: rows that the others are compared with.
        novelty_threshold: novelty from which an item counts for `serendipity`; see `recsys.bench.compare`.
        limit: steps and users at most, None = all.
    """

    reads: ClassVar[type] = PreparedSimulator

    baselines: Mapping[str, Any]
    users: int = 200
    steps: int = 100
    slots: int = 2
    seeds: int = 5
    references: Sequence[str] = ("random",)
    novelty_threshold: float = 0.5
    limit: int | None = None

    def __post_init__(self) -> None:
        at_least(1, users=self.users, steps=self.steps, slots=self.slots, seeds=self.seeds, limit=self.limit)
        at_least(0, novelty_threshold=self.novelty_threshold)

    @staticmethod
    def own_rows(node: DictConfig) -> list[str]:
        """Return the names of the baselines."""
        return [str(name) for name in node.baselines]

    def evaluate(self, run: RunFolder) -> EvaluationResult:
        """Return a row for each policy of the run and for each baseline."""
        prepared = load_data_of(run, PreparedSimulator)
        trained = {one.name: partial(load, run, one.name) for one in artifacts(run, ArtifactKind.POLICY)}
        baselines = {
            str(name): Configured.of(node, f"evaluation.baselines.{name}") for name, node in self.baselines.items()
        }
        few = self.limit or max(self.users, self.steps)
        result = compare(
            lambda: prepared.simulator,
            baselines | trained,
            min(self.users, few),
            min(self.steps, few),
            self.slots,
            self.seeds if self.limit is None else 1,
            references=self.references,
            novelty_threshold=self.novelty_threshold,
        )
        return EvaluationResult(result.metrics, result.per_user(), [comparison_table(result.metrics, prepared.name)])
