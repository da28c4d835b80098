"""Run the grid of policies and seeds in parallel processes, keeping each result on disk."""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.live import Live
from rich.table import Table

from recsys.atomic import whole_file
from recsys.bench.episode import EpisodeConfig, Trajectory, run_episode
from recsys.runs.fingerprint import fingerprint, is_fresh, mark_fresh

RESULT_VERSION = 1
"""Raised whenever what is played or kept changes: older cells are then played again."""


@dataclass(frozen=True)
class BenchRun:
    """One policy with one seed.

    Args:
        policy: its name.
        seed: of the game.
        simulator: configuration of the world.
        acts: configuration of the policy.
        game: what is played.
        folder: where the result is kept.
    """

    policy: str
    seed: int
    simulator: dict[str, Any]
    acts: dict[str, Any]
    game: EpisodeConfig
    folder: Path

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.policy}, seed {self.seed}"

    @property
    def mark(self) -> str:
        """Of everything the result depends on."""
        game = [getattr(self.game, field.name) for field in fields(EpisodeConfig)]
        return fingerprint(RESULT_VERSION, self.simulator, self.acts, self.seed, game)

    @property
    def done(self) -> bool:
        """Whether the result is there."""
        return is_fresh(self.folder, self.mark)

    def read(self) -> Trajectory:
        """The result."""
        kept = torch.load(self.folder / "played.pt", weights_only=True)
        return Trajectory(**kept)


def run(cell: BenchRun) -> float:
    """Play a cell and keep the result; one thread, so that equal seeds give equal numbers wherever it runs.

    Returns:
        Seconds it took.
    """
    started = time.perf_counter()
    torch.set_num_threads(1)
    torch.manual_seed(cell.seed)
    simulator, policy = (instantiate(node, _convert_="all") for node in (cell.simulator, cell.acts))
    with torch.no_grad():
        played = run_episode(simulator, policy, cell.game, cell.seed)
    cell.folder.mkdir(parents=True, exist_ok=True)
    with whole_file(cell.folder / "played.pt") as aside:
        torch.save({field.name: getattr(played, field.name) for field in fields(Trajectory)}, aside)
    mark_fresh(cell.folder, cell.mark)
    return time.perf_counter() - started


log = logging.getLogger(__name__)

WAITING, DONE, FAILED = "·", "done", "failed"


def run_grid(cells: Sequence[BenchRun], processes: int, run: Callable[[BenchRun], float] = run) -> dict[str, str]:
    """Play the cells that have no result yet.

    A cell that fails takes nothing from the others. What is done when interrupted is kept: playing again goes on there.

    Args:
        cells: any order.
        processes: how many cells at a time; numbers do not depend on it.
        run: plays one cell, in a process of its own.

    Returns:
        What went wrong, by the cell's name; empty where all is well.
    """
    state = {cell.name: DONE if cell.done else WAITING for cell in cells}
    open_cells = [cell for cell in cells if not cell.done]
    problems: dict[str, str] = {}
    console = Console(stderr=True)
    context = multiprocessing.get_context("spawn")
    with (
        Live(_table(cells, state), console=console, transient=True, refresh_per_second=4) as live,
        ProcessPoolExecutor(max(1, min(processes, len(open_cells))), mp_context=context) as pool,
    ):
        running = {pool.submit(run, cell): cell for cell in open_cells}
        try:
            for future in as_completed(running):
                cell = running[future]
                try:
                    seconds = future.result()
                    state[cell.name] = f"{seconds:.1f} s"
                    log.info("%s: %.1f s", cell.name, seconds)
                except BrokenProcessPool:
                    problems[cell.name] = "its process died, as it does without memory"
                except Exception as error:
                    problems[cell.name] = f"{type(error).__name__}: {error}"
                if cell.name in problems:
                    state[cell.name] = FAILED
                    log.error("%s: %s", cell.name, problems[cell.name])
                live.update(_table(cells, state))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return problems


def _table(cells: Sequence[BenchRun], state: dict[str, str]) -> Table:
    table = Table(box=None, title="policies × seeds")
    seeds = sorted({cell.seed for cell in cells})
    table.add_column("")
    for seed in seeds:
        table.add_column(str(seed), justify="right")
    for policy in dict.fromkeys(cell.policy for cell in cells):
        own = {cell.seed: state[cell.name] for cell in cells if cell.policy == policy}
        table.add_row(policy, *(own.get(seed, "") for seed in seeds))
    return table
