"""Open tables of text (`.csv`, `.tsv`, also compressed as `.gz`) as lazy frames, without losing a row.

A file follows RFC 4180: fields are separated by commas (`.tsv`: tabs), and a field that starts with a quote ends at the
next single quote, so that it may hold separators, line ends and doubled quotes. A quote inside a field that does not
start with one is an ordinary character, as in `19" monitor`.

polars counts every quote when it looks for the end of a row. If a file has other quotes than those around whole fields
of one line, rows are merged, and a read of some of the columns loses them without an error. Such files are recognised
here and read by the module `csv` of Python.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import polars as pl

from recsys.errors import DataError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Separator of fields by the end of a file's name."""

ROWS_AT_ONCE = 100_000
"""Number of rows that are turned into columns at once."""


def is_text(location: str) -> bool:
    """Return whether a table is read as text, by the end of its name.

    >>> [is_text(name) for name in ("log.csv", "log.tsv.gz", "log.parquet", "csv")]
    [True, True, False, False]
    """
    return Path(location.removesuffix(".gz")).suffix in SEPARATORS


def scan_text(path: Path) -> pl.LazyFrame:
    """Return a lazy frame over a file of text with a header. All columns are strings; an empty field is null.

    A row that is shorter than the header ends in nulls.

    Raises:
        DataError: there is no such file, it is no UTF-8, its header is missing or names a column twice, a row has more
            fields than the header, or a quote at the start of a field has no partner.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file. Check the path")
    separator = SEPARATORS[Path(path.name.removesuffix(".gz")).suffix]
    status = path.stat()
    header, quotes = _layout(path, separator, status.st_mtime_ns, status.st_size)
    if quotes is None:
        return _read_by_csv(path, separator, header).lazy()
    frame = pl.scan_csv(path, separator=separator, quote_char='"' if quotes else None, infer_schema=False, glob=False)
    return frame.with_columns(pl.all().replace("", None)) if quotes else frame


@lru_cache(maxsize=64)
def _layout(path: Path, separator: str, modified: int, size: int) -> tuple[tuple[str, ...], bool | None]:
    """Return the header of a file and whether it has quotes; None for quotes that polars does not read.

    `modified` and `size` are those of the file. They make a file that has changed another argument of the cache.
    """
    with _decoded(path) as stream:
        header = tuple(next(csv.reader(stream, delimiter=separator), ()))
    if not header:
        raise DataError(f"{path}: the file is empty, expected a header line that names the columns. Write one")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{path}, line 1: the header names column {twice[0]!r} twice, expected it once. Rename one")
    plain, quoted = rf'[^"{separator}]*', r'"(?:[^"]|"")*"'
    field = f"(?:{plain}|{quoted})"
    line = pl.col("line")
    has_quote = line.str.contains('"', literal=True)
    regular = line.str.contains(f"^{field}(?:{separator}{field})*$")
    bare = pl.when(has_quote).then(line.str.replace_all(quoted, "")).otherwise(line)
    too_long = bare.str.count_matches(separator, literal=True) >= len(header)
    try:
        lines = pl.scan_lines(path, name="line", row_index_name="number", glob=False)
        facts = lines.select(
            has_quote.any().alias("quotes"),
            (has_quote & ~regular).any().alias("irregular"),
            pl.col("number").filter(too_long).min().alias("too_long"),
        ).collect(engine="streaming")
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"{path} cannot be read: {problem}. Write it again in UTF-8, or remove it") from problem
    quotes, irregular, first = facts.row(0)
    if irregular:
        return header, None
    if first is not None:
        raise _too_long(path, first + 1, header)
    return header, quotes


def _read_by_csv(path: Path, separator: str, header: tuple[str, ...]) -> pl.DataFrame:
    """Return the rows as RFC 4180 says; strict, so that a quoted field ends at a separator or at the end of a line."""
    parts: list[pl.DataFrame] = [pl.DataFrame(schema=dict.fromkeys(header, pl.String))]
    with _decoded(path) as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        try:
            next(reader)
            while rows := list(itertools.islice(reader, ROWS_AT_ONCE)):
                if max(map(len, rows)) > len(header):
                    raise _too_long(path, _first_line(path, separator, len(header)), header)
                columns = itertools.zip_longest(*rows, [None] * len(header))
                parts.append(
                    pl.DataFrame(
                        {name: column[:-1] for name, column in zip(header, columns, strict=True)},
                        schema=dict.fromkeys(header, pl.String),
                    )
                )
        except csv.Error as problem:
            raise DataError(
                f"{path}, line {_first_line(path, separator)}: a quote opens a field and does not close it ({problem})."
                ' Double the quotes inside the field and close it, as in "19"" monitor"'
            ) from problem
    return pl.concat(parts).with_columns(pl.all().replace("", None))


def _first_line(path: Path, separator: str, width: int | None = None) -> int:
    """Return the line (from 1) at which the first row starts that is malformed or longer than `width`."""
    with _decoded(path) as stream:
        reader = csv.reader(stream, delimiter=separator, strict=True)
        start = 1
        try:
            for row in reader:
                if width is not None and len(row) > width:
                    break
                start = reader.line_num + 1
        except csv.Error:
            pass
    return start


def _too_long(path: Path, line: int, header: tuple[str, ...]) -> DataError:
    return DataError(
        f"{path}, line {line}: the row has more fields than the {len(header)} columns of the header. Put quotes around"
        " the field that holds the separator"
    )


@contextmanager
def _decoded(path: Path) -> Iterator[TextIO]:
    """Open a file of UTF-8 with or without a byte-order mark, compressed or not."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", errors="replace", newline="") as stream:
        yield stream


INTEGER = re.compile(r"0|-?[1-9]\d{0,17}").pattern
"""Text of an integer that is written as its value is printed, and fits into int64."""


def is_integer(text: pl.Expr) -> pl.Expr:
    """Return an expression that is true where a text is an integer as it is printed; null is null.

    `007`, `+7` and `7.0` are other texts than `7`, so ids are integers only if all of them pass.

    >>> pl.DataFrame({"id": ["7", "-7", "0", "007", "+7", " 7", "-0", None]}).select(is_integer(pl.col("id"))).rows()
    [(True,), (True,), (True,), (False,), (False,), (False,), (False,), (None,)]
    """
    return text.str.contains(f"^(?:{INTEGER})$")


def as_ids(ids: pl.Expr, present: Any, wanted: Any) -> pl.Expr:
    """Return ids in the type of another table's ids, null where no id of that type can be equal.

    A text equals an integer only if it is the integer as it is printed.

    Args:
        ids: the ids.
        present: their polars type: integers or strings.
        wanted: the type of the other table's ids.

    >>> frame = pl.DataFrame({"id": ["007", "7"]})
    >>> frame.select(as_ids(pl.col("id"), pl.String(), pl.Int64())).to_series().to_list()
    [None, 7]
    """
    if wanted.is_integer() and not present.is_integer():
        text = ids.cast(pl.String)
        return pl.when(is_integer(text)).then(text).cast(wanted, strict=False)
    return ids.cast(wanted, strict=False)
