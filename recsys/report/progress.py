"""Show progress on a terminal; files and pipes get none of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from typing_extensions import override

from recsys.report.console import ConsoleTable, rich_table
from recsys.report.visible import visible


class PlainProgress(Progress):
    """A progress bar whose descriptions are plain text."""

    @classmethod
    @override
    def get_default_columns(cls) -> tuple[Any, ...]:
        plain = TextColumn("{task.description}", style="progress.description", markup=False)
        return plain, BarColumn(), TaskProgressColumn(), TimeRemainingColumn()

    @override
    def add_task(self, description: str, *given: Any, **options: Any) -> TaskID:
        return super().add_task(visible(description), *given, **options)


def progress_bar() -> PlainProgress:
    """Return a progress bar on standard error that disappears when done.

    It draws nothing if standard error is not a terminal. It never writes to standard output.
    """
    console = Console(stderr=True)
    return PlainProgress(console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def live_table(table: ConsoleTable) -> Iterator[Callable[[ConsoleTable], None]]:
    """Show a table on standard error that changes and disappears when done; give the function that changes it.

    Args:
        table: what it shows at first.
    """
    console = Console(stderr=True)
    with Live(rich_table(table, titled=True), console=console, transient=True, refresh_per_second=4) as live:
        yield lambda changed: live.update(rich_table(changed, titled=True))
