"""Stage: compare every configured policy with every seed in one simulator."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import polars as pl
import torch
from omegaconf import DictConfig

from recsys.atomic import write_json, write_parquet
from recsys.bench.comparison import BenchResult, BenchRun, FailedBenchRuns, compare
from recsys.bench.grid import Configured, ProcessGrid
from recsys.bench.metrics import RecordsByPolicy
from recsys.bench.record import record_episode
from recsys.config.suggest import require_near
from recsys.errors import ConfigurationError, RequestError
from recsys.instantiation import PartError, make
from recsys.policies.policy import Policy
from recsys.protocols import require_protocol
from recsys.ranges import at_least
from recsys.rollouts.episode import EpisodeConfig
from recsys.runs.run_folder import RunFolder
from recsys.simulate.simulator import Simulator

logger = logging.getLogger(__name__)


class PolicyGrid:
    """Policies × seeds in one simulator; see `recsys.bench.compare`.

    Args:
        simulator_name: what the simulator is called in the rows of `metrics.json`.
        simulator: configuration of the simulator.
        policies: configuration of each policy, by name. One called `oracle` is what regret is measured against.
        users: at once.
        steps: slates a user is shown at most.
        slots: of a slate.
        seeds: how many, from 0.
        processes: runs played at a time; 0 takes one for each core.
        references: policies that the others are compared with.
        log: whether what was played is written as the table `feedback.parquet`.
        slot_draws: further slates drawn a request for the table's `slot_propensities`; 0 leaves them out. No effect
            without `log`.
        novelty_threshold: novelty from which an item counts for `serendipity`; see `recsys.bench.compare`. It changes
            the figures only: what was played stays.
        limit: steps and users at most, None = all.
    """

    incremental = True
    results: ClassVar[Sequence[str]] = ("metrics.json", "metrics.parquet", "feedback.parquet")

    def __init__(
        self,
        simulator_name: str,
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
        novelty_threshold: float = 0.5,
        limit: int | None = None,
    ) -> None:
        at_least(1, users=users, steps=steps, slots=slots, limit=limit)
        if not policies:
            raise ConfigurationError("policy: none is configured; for instance policy=[random,in_slate_thompson]")
        at_least(0, processes=processes, slot_draws=slot_draws, novelty_threshold=novelty_threshold)
        at_least(1, seeds=seeds)
        for name in map(str, policies):
            if not name or name in (".", "..") or "/" in name or "\0" in name:
                raise ConfigurationError(f"policies: {name!r} names a folder; choose a name without '/'")
        self.simulator_name = simulator_name
        self.simulator = Configured.of(simulator, "simulator")
        self.policies = {str(name): Configured.of(node, f"policies.{name}") for name, node in policies.items()}
        few = limit or max(users, steps)
        self.episode = EpisodeConfig(min(users, few), min(steps, few), slots)
        self.slot_draws = slot_draws if log else 0
        self.novelty_threshold = novelty_threshold
        self.seeds = seeds if limit is None else min(seeds, 2)
        self.processes = processes
        self.references = list(references)
        self.log = log

    @staticmethod
    def check_configuration(node: DictConfig, config: DictConfig) -> None:
        """Refuse a simulator or a policy that does not take its arguments, or breaks its contract at the first slate.

        Every policy shows one slate to two users, before anything is played. An error of another kind is left to the
        runs: those of one policy take nothing from the others.
        """
        require_near(node.get("references") or (), node.policies or {}, "references")
        few = EpisodeConfig(2, 1, node.get("slots", 2))
        with torch.random.fork_rng(devices=[]):
            for part in [node.simulator, *(node.policies or {}).values()]:
                try:
                    if part is node.simulator:
                        require_protocol(make(part), Simulator)
                    else:
                        policy = make(part)
                        require_protocol(policy, Policy, only=("sample",))
                        record_episode(make(node.simulator), policy, few, seed=0)
                except PartError:
                    raise
                except RequestError as error:
                    raise PartError(str(part._get_full_key(None)), str(error)) from error
                except SystemExit as error:
                    raise PartError(str(part._get_full_key(None)), f"it called sys.exit({error.code!r})") from error
                except Exception as error:
                    logger.debug("%s: %s", part._get_full_key(None), error)

    def run(self, run: RunFolder) -> None:
        """Play, then write the figures.

        Raises:
            FailedBenchRuns: some failed; the figures are of the policies of which every run was played.
        """
        try:
            result = compare(
                self.simulator,
                self.policies,
                self.episode.users,
                self.episode.steps,
                self.episode.slots,
                self.seeds,
                references=self.references,
                slot_draws=self.slot_draws,
                novelty_threshold=self.novelty_threshold,
                runner=ProcessGrid(run.stage("play"), self.processes),
            )
        except FailedBenchRuns as failed:
            if failed.result is not None:
                self._write(run, failed.result)
            raise
        self._write(run, result)

    def records(self, run: RunFolder) -> RecordsByPolicy:
        """Return what was played, as it lies in the run folder."""
        grid = ProcessGrid(run.stage("play"))
        return {
            name: [
                grid.place(BenchRun(name, seed, self.simulator, make, self.episode)).read()
                for seed in range(self.seeds)
            ]
            for name, make in self.policies.items()
        }

    def _write(self, run: RunFolder, result: BenchResult) -> None:
        rows = {f"{self.simulator_name}/{name}": row for name, row in result.metrics.items()}
        write_json(run.metrics, rows, indent=2)
        row = pl.format("{}/{}", pl.lit(self.simulator_name), "row").alias("row")
        write_parquet(run.metrics_table, result.per_user().with_columns(row))
        if self.log:
            write_parquet(run.path / "feedback.parquet", result.feedback())
