"""Lazy frames of files, folders and object stores; what polars cannot read becomes a `DataError`."""

from __future__ import annotations

import csv
import glob
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from recsys.errors import DataError

FILE = "__file"
"""Column that `scan(..., files=True)` adds: the file each row comes from."""


def is_remote(location: str) -> bool:
    """Whether the location is an object store's, such as `s3://bucket/logs`."""
    return "://" in location


def local_files(location: str) -> list[Path]:
    """The files behind a local path: itself, a folder's Parquet files at any depth, or what a pattern matches.

    Raises:
        DataError: when there are none.
    """
    path = Path(location)
    if path.is_dir():
        found = [file for file in path.rglob("*.parquet") if file.is_file()]
    else:
        found = [Path(name) for name in glob.glob(location, recursive=True)] if glob.has_magic(location) else [path]
    if not found or not all(file.exists() for file in found):
        raise DataError(f"{location}: no such table; expected a Parquet file, a folder of them, or a pattern")
    return sorted(found)


def scan(location: str, *, files: bool = False) -> pl.LazyFrame:
    """A lazy frame over a Parquet file, a folder of them (hive partitions become columns), a pattern or a URL.

    Args:
        location: local path, pattern, or object-store URL. A path that ends in `.csv` is read as comma-separated text
            with a header, every column as text.
        files: whether to add the column `FILE`.

    Raises:
        DataError: when there is no such file.
    """
    if location.endswith(".csv"):
        return _scan_csv(Path(location))
    if is_remote(location):
        paths: str | list[Path] = location if location.endswith(".parquet") else f"{location.rstrip('/')}/**/*.parquet"
        hive = "=" in location or paths != location
    else:
        paths = local_files(location)
        hive = any("=" in part for path in paths for part in path.parent.parts)
    with polars_errors(location):
        return pl.scan_parquet(
            paths, hive_partitioning=hive, include_file_paths=FILE if files else None, extra_columns="ignore"
        )


def _scan_csv(path: Path) -> pl.LazyFrame:
    if not path.exists():
        raise DataError(f"{path}: no such file")
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        header = next(csv.reader(stream), None)
    if not header:
        raise DataError(f"{path} is empty: expected a header line that names the columns")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{path}, line 1: the header names column {twice[0]!r} twice; rename or drop one of them")
    return pl.scan_csv(path, infer_schema=False)


@contextmanager
def polars_errors(location: str) -> Iterator[None]:
    """Turn what polars raises while it reads `location` into a `DataError` that names the damaged file."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as problem:
        culprit, reason = _culprit(location, problem)
        raise DataError(
            f"{culprit} cannot be read: {reason}; the file is damaged, cut short, or differs in its columns from the"
            " table's first file: write it again or remove it"
        ) from problem


def _culprit(location: str, problem: Exception) -> tuple[str, str]:
    """The first file of a table that cannot be read alone or has other types than the first, and why."""
    if is_remote(location) or not (location.endswith(".parquet") or Path(location).is_dir()):
        return location, _first_line(problem)
    first: pl.Schema | None = None
    for path in local_files(location):
        try:
            frame = pl.scan_parquet(path)
            schema = frame.collect_schema()
            frame.null_count().collect()
        except (pl.exceptions.PolarsError, OSError) as alone:
            return str(path), _first_line(alone)
        first = first or schema
        for name, kind in first.items():
            if schema.get(name) != kind:
                return str(path), f"column {name!r} is {schema.get(name, 'missing')}, elsewhere {kind}"
    return location, _first_line(problem)


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__


def first_row(location: str, predicate: pl.Expr, column: str) -> tuple[str, int, object]:
    """Where the first row that fulfils a predicate stands: its file, its row there (from 0) and its value.

    The predicate may read any column of the table; the value is that of `column`.
    """
    if location.endswith(".csv"):
        frame = scan(location).with_columns(pl.lit(location).alias(FILE))
    else:
        frame = scan(location, files=True)
    numbered = frame.with_columns(pl.int_range(pl.len()).over(FILE).alias("__row"))
    found = numbered.filter(predicate).select(FILE, "__row", column).head(1).collect()
    return found.item(0, FILE), found.item(0, "__row"), found.item(0, column)
