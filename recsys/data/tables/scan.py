"""Open files, folders and object stores as lazy frames. Errors of polars become a `DataError` that names the file."""

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
"""Column that `scan(..., files=True)` adds. It holds the file that each row comes from."""


def is_remote(location: str) -> bool:
    """Return whether the location is in an object store, as `s3://bucket/logs` is."""
    return "://" in location


def local_files(location: str) -> list[Path]:
    """Return the files that a local location stands for, sorted.

    Args:
        location: a file, a folder (its Parquet files at any depth) or a glob pattern.

    Raises:
        DataError: there is no such file.
    """
    path = Path(location)
    if path.is_dir():
        found = [file for file in path.rglob("*.parquet") if file.is_file()]
    else:
        found = [Path(name) for name in glob.glob(location, recursive=True)] if glob.has_magic(location) else [path]
    if not found or not all(file.exists() for file in found):
        raise DataError(
            f"{location}: no such table; expected a Parquet file, a folder of them, or a pattern. Check the path"
        )
    return sorted(found)


def scan(location: str, *, files: bool = False) -> pl.LazyFrame:
    """Return a lazy frame over a Parquet file, a folder of Parquet files, a glob pattern or a URL.

    Hive partitions become columns.

    Args:
        location: local path, pattern, or object-store URL. A path that ends in `.csv` is read as comma-separated text
            with a header; all its columns are strings.
        files: whether to add the column `FILE`.

    Raises:
        DataError: there is no such file.
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
        raise DataError(f"{path}: no such file. Check the path")
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        header = next(csv.reader(stream), None)
    if not header:
        raise DataError(f"{path}: the file is empty, expected a header line that names the columns. Write one")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"{path}, line 1: the header names column {twice[0]!r} twice, expected it once. Rename one")
    return pl.scan_csv(path, infer_schema=False)


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
            frame = pl.scan_parquet(path)
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
    if location.endswith(".csv"):
        frame = scan(location).with_columns(pl.lit(location).alias(FILE))
    else:
        frame = scan(location, files=True)
    numbered = frame.with_columns(pl.int_range(pl.len()).over(FILE).alias("__row"))
    found = numbered.filter(predicate).select(FILE, "__row", column).head(1).collect()
    return found.item(0, FILE), found.item(0, "__row"), found.item(0, column)
