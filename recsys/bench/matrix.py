"""All cells in parallel processes, with a table that fills while they run."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from rich.console import Console
from rich.live import Live
from rich.table import Table

from recsys.bench.cell import Cell, run

log = logging.getLogger(__name__)

WAITING, DONE, FAILED = "·", "done", "failed"


def play_all(cells: Sequence[Cell], processes: int, run: Callable[[Cell], float] = run) -> dict[str, str]:
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


def _table(cells: Sequence[Cell], state: dict[str, str]) -> Table:
    table = Table(box=None, title="policies × seeds")
    seeds = sorted({cell.seed for cell in cells})
    table.add_column("")
    for seed in seeds:
        table.add_column(str(seed), justify="right")
    for policy in dict.fromkeys(cell.policy for cell in cells):
        own = {cell.seed: state[cell.name] for cell in cells if cell.policy == policy}
        table.add_row(policy, *(own.get(seed, "") for seed in seeds))
    return table
