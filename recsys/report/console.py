"""Print on the console: the one way for tables and messages, with every number and name whole on any terminal."""

from __future__ import annotations

import codecs
import io
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any, Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from recsys.report.visible import visible

UNLIMITED = 10_000
"""Columns that no table needs."""

LEAST_FOLD = 16
"""Columns that words are folded to at least, and a longer word not at all; else a table is printed as records."""

INDENT = "  "
"""What stands before the fields of a record."""


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Args:
        head: what stands above it, in several lines where it holds line breaks.
        name: what its values are called where each is printed beside its name; None for the head in one line. Columns
            whose name is empty hold the name of a row, or remarks.
        words: whether its cells are words, on the left, which may be folded; numbers otherwise, on the right.
        width: columns that its cells are folded to at most; None folds them where a terminal is narrower only.
    """

    head: str
    name: str | None = None
    words: bool = False
    width: int | None = None

    @property
    def called(self) -> str:
        """Return the name beside a value."""
        return self.head.replace("\n@", "@").replace("\n", " ") if self.name is None else self.name


@dataclass(frozen=True)
class ConsoleTable:
    """A table for the console. All texts are plain: they are printed as they are, with control characters visible.

    Args:
        columns: from left to right.
        rows: cells of each row.
        title: a line above; may be empty.
        caption: a line below; may be empty.
        lines: lines between head and rows (`head`), around every cell (`all`), or none.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]] = field(default_factory=list)
    title: str = ""
    caption: str = ""
    lines: Literal["none", "head", "all"] = "head"


BOXES = {"none": None, "head": box.SIMPLE_HEAD, "all": box.HEAVY_HEAD}


def show_table(table: ConsoleTable, console: Console | None = None) -> None:
    """Print a table so that no number and no name is cut.

    A file or a pipe gets it as wide as its cells are. On a terminal words are folded; where numbers would not fit
    either, each row is printed as a record, with the name of a value beside it.

    Args:
        table: what to print.
        console: where to; None for standard output.
    """
    console = console or Console()
    limit = _limit(console)
    drawn = _fitting(table, console, limit)
    if table.title:
        _print_line(console, table.title, limit, style="table.title")
    if drawn is None:
        for row in table.rows:
            _print_record(console, table.columns, row, limit or UNLIMITED)
    else:
        console.width = max(console.width if limit is None else 1, _width(drawn, console))
        console.print(drawn)
    if table.caption:
        _print_line(console, table.caption, limit, style="table.caption")


def table_text(tables: Iterable[ConsoleTable]) -> str:
    """Return tables as plain text, as a file would get them."""
    console = Console(file=io.StringIO(), color_system=None, force_terminal=False, _environ={})
    for table in tables:
        show_table(table, console)
    return console.file.getvalue().rstrip()  # type: ignore[attr-defined]


def rich_table(table: ConsoleTable, fold: int | None = None, titled: bool = False) -> Table:
    """Return the table as rich draws it.

    Args:
        table: the table.
        fold: columns that each column of words is folded to; None for its own width.
        titled: whether the title is part of it.
    """
    look = {} if table.lines == "all" else {"pad_edge": False, "padding": (0, 1, 0, 0)}
    if table.lines == "none":
        look = {}
    view = Table(
        title=Text(visible(table.title)) if titled and table.title else None,
        title_justify="left",
        box=BOXES[table.lines],
        show_header=any(one.head for one in table.columns),
        **look,
    )
    for index, column in enumerate(table.columns):
        widest = column.width if fold is None or not column.words else min(fold, column.width or fold)
        widest = None if widest is None else max(widest, _longest_word(table, index))
        view.add_column(
            Text(visible(column.head, keep="\n")),
            justify="left" if column.words else "right",
            no_wrap=not column.words or widest is None,
            overflow="fold",
            max_width=widest,
        )
    for row in table.rows:
        view.add_row(*(Text(visible(cell)) for cell in row))
    return view


def say(text: object = "", stream: Any = None) -> None:
    """Print a message, its control characters visible; line breaks of the message stay.

    Args:
        text: the message.
        stream: where to; None for standard output.
    """
    print(visible(text, keep="\n"), file=stream or sys.stdout)


def _limit(console: Console) -> int | None:
    """Return the columns of a terminal, which `COLUMNS` can set; None for a file or a pipe, which have no width."""
    if not console.is_terminal:
        return None
    return shutil.get_terminal_size().columns if console.is_dumb_terminal else console.width


def _fitting(table: ConsoleTable, console: Console, limit: int | None) -> Table | None:
    """Return the table in a form that fits, its words folded if need be; None where none does."""
    whole = rich_table(table)
    missing = 0 if limit is None else _width(whole, console) - limit
    if missing <= 0 or not any(one.words for one in table.columns):
        return whole if missing <= 0 else None
    fold = limit or UNLIMITED
    while fold > LEAST_FOLD:
        fold = max(LEAST_FOLD, fold - max(1, missing // sum(one.words for one in table.columns)))
        folded = rich_table(table, fold)
        missing = _width(folded, console) - (limit or UNLIMITED)
        if missing <= 0:
            return folded
    return None


def _longest_word(table: ConsoleTable, index: int) -> int:
    """Return the width of the longest word of a column, which is never folded inside."""
    words = (word for row in table.rows for word in visible(row[index]).split())
    return max(map(cell_len, words), default=1)


def _width(table: Table, console: Console) -> int:
    """Return the columns that a table takes where there is room."""
    return Measurement.get(console, console.options.update(max_width=UNLIMITED, width=UNLIMITED), table).maximum


def _print_record(console: Console, columns: Sequence[Column], row: Sequence[str], limit: int) -> None:
    """Print the cells of a row below each other; empty cells are left out."""
    for index, (column, cell) in enumerate(zip(columns, row, strict=True)):
        if not cell:
            continue
        before = INDENT if index else ""
        whole = f"{column.called}: {cell}" if column.called else cell
        if column.called and cell_len(before + visible(whole)) > limit:
            _print_line(console, f"{column.called}:", limit, before)
            _print_line(console, cell, limit, before + INDENT)
        else:
            _print_line(console, whole, limit, before)


def _print_line(console: Console, line: str, limit: int | None, indent: str = "", style: str = "") -> None:
    """Print a line, broken at spaces where it is longer than the limit; a longer word is left to the terminal."""
    shown = visible(line)
    if limit is not None and cell_len(indent + shown) > limit:
        room = max(1, limit - len(indent))
        shown = f"\n{indent}".join(wrap(shown, room, break_long_words=False, break_on_hyphens=False)) or shown
    console.print(Text(indent + shown, style=style), soft_wrap=True)


PLAIN: Mapping[str, str] = {
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
