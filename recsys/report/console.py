"""Print tables on the console with every number whole, also where it knows ASCII only."""

from __future__ import annotations

import codecs
from typing import Any

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


PLAIN = {
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "·": ".",
    "≥": ">=",
    "≤": "<=",
    "’": "'",
    "“": '"',
    "”": '"',
}
"""What stands for typographic signs where a stream has none."""


def print_plainly(stream: Any) -> None:
    r"""Let a stream write what its encoding lacks as plain signs (`PLAIN`), or else as an escape such as `\xe9`.

    >>> import io
    >>> stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    >>> print_plainly(stream)
    >>> stream.write("−1.5 … café"), stream.flush(), stream.buffer.getvalue()
    (11, None, b'-1.5 ... caf\\xe9')
    """
    codecs.register_error("recsys-plain", _plain)
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="recsys-plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    sign = error.object[error.start]
    if sign in PLAIN:
        return PLAIN[sign], error.start + 1
    error.end = error.start + 1
    return codecs.backslashreplace_errors(error)
