"""Stage: run every policy with every seed in one simulator."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from hydra.utils import instantiate
from omegaconf import OmegaConf

from recsys.atomic import write_json, write_parquet
from recsys.bench.episode import EpisodeConfig
from recsys.bench.feedback_table import feedback_table
from recsys.bench.grid import BenchRun, run_grid
from recsys.bench.metrics import TrajectoriesByPolicy, results, user_metrics
from recsys.errors import ConfigurationError
from recsys.runs.run_folder import RunFolder

log = logging.getLogger(__name__)


class FailedBenchRuns(Exception):
    """Some cells failed; the others' results are kept."""


class PolicyGrid:
    """Policies × seeds in one simulated world.

    Args:
        world: what the world is called in the rows of `metrics.json`.
        simulator: configuration of the world.
        policies: configuration of each policy, by name. One called `oracle` is what regret is measured against.
        users: at once.
        steps: slates a user is shown at most.
        slots: of a slate.
        seeds: how many, from 0.
        processes: cells played at a time; 0 takes one for each core.
        references: policies that the others are compared with.
        log: whether what was played is written as the table `feedback.parquet`.
        slot_draws: further slates drawn a request for the table's `slot_propensities`; 0 leaves them out. No effect
            without `log`.
        limit: steps and users at most, None = all.
        inputs: stages this one reads.
    """

    mends = True
    results: ClassVar[Sequence[str]] = ("metrics.json", "metrics.parquet", "feedback.parquet")

    def __init__(
        self,
        world: str,
        simulator: Any,
        policies: Mapping[str, Any],
        users: int = 200,
        steps: int = 100,
        slots: int = 2,
        seeds: int = 5,
        processes: int = 0,
        references: Sequence[str] = ("random",),
        log: bool = False,
        slot_draws: int = 0,
        limit: int | None = None,
        inputs: Sequence[str] = (),
    ) -> None:
        if not policies:
            raise ConfigurationError("policy: none is configured; for instance policy=[random,in_slate_thompson]")
        self.world = world
        self.simulator = _plain(simulator)
        self.policies = {str(name): _plain(node) for name, node in policies.items()}
        few = limit or max(users, steps)
        self.game = EpisodeConfig(min(users, few), min(steps, few), slots, slot_draws if log else 0)
        self.seeds = seeds if limit is None else min(seeds, 2)
        self.processes = processes
        self.references = list(references)
        self.log = log
        self.inputs = inputs

    def run(self, run: RunFolder) -> None:
        """Play, then write the figures.

        Raises:
            FailedCells: some failed; the figures are of the policies whose cells are all there.
        """
        cells = self.cells(run.stage("play"))
        self._forget_others(run.stage("play"))
        problems = run_grid(cells, self.processes or _cores())
        whole = [name for name in self.policies if not any(f"{name}, seed {seed}" in problems for seed in self._each())]
        if whole:
            self._write(run, {name: [cell.read() for cell in cells if cell.policy == name] for name in whole})
        if problems:
            raise FailedBenchRuns("; ".join(f"{name}: {problem}" for name, problem in problems.items()))

    def cells(self, folder: Path) -> list[BenchRun]:
        """Every policy with every seed, seed by seed."""
        return [
            BenchRun(name, seed, self.simulator, node, self.game, folder / name / str(seed))
            for seed in self._each()
            for name, node in self.policies.items()
        ]

    def _write(self, run: RunFolder, games: TrajectoriesByPolicy) -> None:
        num_items = instantiate(self.simulator).num_items
        table = results(games, num_items, self.references)
        rows = {f"{self.world}/{name}": row for name, row in table.items()}
        write_json(run.metrics, rows, indent=2)
        write_parquet(run.metrics_table, self._per_user(games))
        if self.log:
            parts = [
                feedback_table(name, seed, one) for name, played in games.items() for seed, one in enumerate(played)
            ]
            write_parquet(run.path / "feedback.parquet", pl.concat(parts))

    def _per_user(self, games: TrajectoriesByPolicy) -> pl.DataFrame:
        frames = [
            pl.DataFrame({"value": value[seed, :, 0].double().numpy()}).select(
                pl.int_range(pl.len()).alias("user_id"),
                pl.lit(f"{self.world}/{name}").alias("row"),
                pl.lit(metric).alias("metric"),
                pl.lit(seed, pl.Int64).alias("seed"),
                "value",
            )
            for name, played in games.items()
            for metric, value in user_metrics(played).items()
            for seed in range(len(played))
        ]
        return pl.concat(frames)

    def _each(self) -> range:
        return range(self.seeds)

    def _forget_others(self, folder: Path) -> None:
        """Take away cells of policies and seeds that are configured no more."""
        for one in folder.glob("*/"):
            if one.name not in self.policies:
                shutil.rmtree(one)
        for one in folder.glob("*/*/"):
            if int(one.name) >= self.seeds:
                shutil.rmtree(one)


def _plain(node: Any) -> dict[str, Any]:
    """A configuration that another process can be given."""
    plain = OmegaConf.to_container(node, resolve=True)
    if not isinstance(plain, dict):
        raise ConfigurationError(f"expected a node with `_target_`, found {plain!r}")
    return {str(key): value for key, value in plain.items()}


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
