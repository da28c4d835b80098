"""Open files, folders and object stores as lazy frames. Errors of polars become a `DataError` that names the file."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from recsys.data.tables.text import is_integer, is_text, scan_text
from recsys.errors import DataError

FILE = "__file"
"""Column that `scan(..., files=True)` adds. It holds the file that each row comes from."""

HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
"""Value of a partition that stands for null."""


def is_remote(location: str) -> bool:
    """Return whether the location is in an object store, as `s3://bucket/logs` is."""
    return "://" in location


def local_files(location: str) -> list[Path]:
    """Return the files that a local location stands for, sorted.

    A location that exists is taken as it is, whatever characters its name has. Below a folder and below the fixed part
    of a pattern, names that start with `.` or `_` are left out, as Spark, Hive and Arrow do: writers keep files there
    that are unfinished or no data, such as `_temporary` and `_SUCCESS`. Names that hold `=` are partitions, and a
    pattern that spells such a name out finds it.

    Args:
        location: a file, a folder (its Parquet files at any depth) or a glob pattern.

    Raises:
        DataError: there is no such file.
    """
    path = Path(location)
    if path.is_dir():
        every = [file for file in path.rglob("*.parquet") if file.is_file()]
    elif path.exists() or not glob.has_magic(location):
        return _existing([path], location)
    else:
        every = [Path(name) for name in glob.glob(location, recursive=True)]
    base = base_folder(location)
    asked = [part for part in Path(location).relative_to(base).parts if _is_hidden(part)]
    found = [file for file in every if asked or not any(map(_is_hidden, file.relative_to(base).parts))]
    return _existing(sorted(found), location, len(every) - len(found))


def base_folder(location: str) -> Path:
    """Return the part of a local location below which folders named `key=value` are partitions.

    It is the folder itself, the fixed part of a pattern, or the folder of a single file.

    >>> base_folder("no/such/day=1/*/part-*.parquet").as_posix()
    'no/such/day=1'
    """
    path = Path(location)
    if path.is_dir():
        return path
    if path.exists() or not glob.has_magic(location):
        return path.parent
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), path.parts)
    return Path(*fixed)


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_")) and "=" not in name


def _existing(files: list[Path], location: str, hidden: int = 0) -> list[Path]:
    if files and all(file.exists() for file in files):
        return files
    said = f" ({hidden:,} with a name that starts with '_' or '.' left out)" if hidden else ""
    raise DataError(
        f"{location}: no such table; expected a Parquet file, a folder of them, or a pattern{said}. Check the path"
    )


def scan(location: str, *, files: bool = False) -> pl.LazyFrame:
    """Return a lazy frame over a Parquet file, a folder of Parquet files, a glob pattern or a URL.

    Folders named `key=value` below the location become columns (hive partitions). Such a column holds integers if each
    value is an integer as it is printed, numbers if each is a number with the usual digits, dates if each is a date,
    and strings otherwise: `007` and `7` are two strings.

    Args:
        location: local path, pattern, or object-store URL. A path whose name is that of a text (`text.is_text`) is read
            as text with a header; all its columns are strings.
        files: whether to add the column `FILE`.

    Raises:
        DataError: there is no such file, or a partition contradicts a column of its file.
    """
    if is_text(location):
        return scan_text(Path(location))
    options: dict[str, Any] = {"hive_partitioning": False, "include_file_paths": FILE, "extra_columns": "ignore"}
    with polars_errors(location):
        if is_remote(location):
            frame = _scan_remote(location, options)
        else:
            paths = local_files(location)
            frame = pl.scan_parquet(paths, glob=False, **options)
            base = base_folder(location)
            frame = with_partitions(frame, {str(path): path.relative_to(base).parent.parts for path in paths})
    return frame if files else frame.drop(FILE)


def _scan_remote(location: str, options: dict[str, Any]) -> pl.LazyFrame:
    """Return a lazy frame over an object store, whose files polars lists. Hidden names are left out."""
    pattern = location if location.endswith(".parquet") else f"{location.rstrip('/')}/**/*.parquet"
    frame = pl.scan_parquet(pattern, hidden_file_prefix=[".", "_"], **options)
    if not glob.has_magic(pattern):
        return frame
    fixed = itertools.takewhile(lambda part: not glob.has_magic(part), pattern.split("://", 1)[1].split("/"))
    base = "/".join(fixed) + "/"
    names = frame.select(pl.col(FILE).unique()).collect(engine="streaming").get_column(FILE).sort().to_list()
    folders = {name: tuple(name.split(base, 1)[-1].split("/")[:-1]) for name in names}
    visible = {name: parts for name, parts in folders.items() if not any(map(_is_hidden, parts))}
    if visible and len(visible) < len(folders):
        frame = pl.scan_parquet(list(visible), glob=False, **options)
    return with_partitions(frame, visible or folders)


def with_partitions(frame: pl.LazyFrame, folders: Mapping[str, Sequence[str]]) -> pl.LazyFrame:
    """Add the partitions of each row's file as columns.

    Args:
        frame: rows with the column `FILE`.
        folders: the names of the folders between the table's location and each file, by the file's value of `FILE`.

    Raises:
        DataError: a column of a file has another value than the partition it lies in.
    """
    values = {name: dict(part.split("=", 1) for part in parts if "=" in part[1:]) for name, parts in folders.items()}
    present = frame.collect_schema()
    for key in dict.fromkeys(key for own in values.values() for key in own):
        texts = [own.get(key) for own in values.values()]
        column = _typed_partition(pl.Series([None if text in (None, HIVE_NULL) else unquote(text) for text in texts]))
        if column.null_count() == len(column):
            column = column.cast(pl.String)
        value = pl.col(FILE).replace_strict(list(values), column, return_dtype=column.dtype)
        if key not in present:
            frame = frame.with_columns(value.alias(key))
            continue
        expected = value.cast(pl.String) if present[key] == pl.String else value.cast(present[key], strict=False)
        apart = frame.filter(pl.col(key).ne_missing(expected)).select(FILE, key).head(1).collect(engine="streaming")
        if len(apart):
            raise DataError(
                f"{apart.item(0, FILE)}: column {key!r} holds {apart.item(0, key)!r}, and the folder says"
                f" {key}={values[apart.item(0, FILE)].get(key)}. Drop the column from the file, or rename the folder"
            )
    return frame


def _typed_partition(texts: pl.Series) -> pl.Series:
    """Return the values of a partition as integers, numbers, dates or strings; see `scan`."""
    frame, text = texts.alias("text").cast(pl.String).to_frame(), pl.col("text")
    if frame.select(is_integer(text).all()).item():
        return texts.cast(pl.Int64)
    if frame.select(text.str.contains(r"^-?(?:0|[1-9]\d*)(?:\.\d+)?$").all()).item():
        return texts.cast(pl.Float64)
    dates = texts.cast(pl.String).str.to_date("%Y-%m-%d", strict=False)
    return dates if dates.null_count() == texts.null_count() else texts


@contextmanager
def polars_errors(location: str) -> Iterator[None]:
    """Turn errors that polars raises while it reads `location` into a `DataError` that names the damaged file."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as problem:
        culprit, reason = _culprit(location, problem)
        raise DataError(
            f"{culprit} cannot be read: {reason}. The file is damaged, truncated, or has other columns than the table's"
            " first file. Write it again or remove it"
        ) from problem


def _culprit(location: str, problem: Exception) -> tuple[str, str]:
    """Return the first file of a table that is damaged or has other types than the first file, and the reason."""
    if is_remote(location) or not (location.endswith(".parquet") or Path(location).is_dir()):
        return location, _first_line(problem)
    first: pl.Schema | None = None
    for path in local_files(location):
        try:
            frame = pl.scan_parquet(path, glob=False)
            schema = frame.collect_schema()
            frame.null_count().collect()
        except (pl.exceptions.PolarsError, OSError) as alone:
            return str(path), _first_line(alone)
        first = first or schema
        for name, kind in first.items():
            if schema.get(name) != kind:
                return str(path), f"column {name!r} is {schema.get(name, 'missing')}, in the first file {kind}"
    return location, _first_line(problem)


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__


def first_row(location: str, predicate: pl.Expr, column: str) -> tuple[str, int, object]:
    """Return the file, the row in that file (from 0) and the value of the first row that matches a predicate.

    Args:
        location: the table, as in `scan`.
        predicate: expression over any columns of the table; it must hold for at least one row.
        column: the column whose value is returned.
    """
    if is_text(location):
        frame = scan(location).with_columns(pl.lit(location).alias(FILE))
    else:
        frame = scan(location, files=True)
    numbered = frame.with_columns(pl.int_range(pl.len()).over(FILE).alias("__row"))
    found = numbered.filter(predicate).select(FILE, "__row", column).head(1).collect()
    return found.item(0, FILE), found.item(0, "__row"), found.item(0, column)
