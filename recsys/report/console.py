"""Print tables on the console with every number whole."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

UNLIMITED = 10_000
"""Columns that no table needs."""


def show_table(table: Table, console: Console | None = None) -> None:
    """Print a table as wide as its cells are, also where the output is a file or a pipe, which count as 80 columns.

    Args:
        table: what to print.
        console: where to; None for standard output.
    """
    console = console or Console()
    wide = console.options.update(max_width=UNLIMITED, width=UNLIMITED)
    console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(table)
