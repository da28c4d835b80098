"""The laws of every data source; a new source is a row in `SOURCES`.

A row is a function that writes slates with clicks into a folder, in the layout of the source and in the order given,
and returns the source that reads them. A `Source` has one interaction for each click (`tests.layouts.events`), a
`SlateSource` one impression for each slate.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys.data.sources.source import SlateSource, SlateTables, Source, Tables
from recsys.data.tables.canonical import INTERACTIONS, ITEMS, USERS
from recsys.data.tables.impressions import read_impressions
from recsys.data.tables.schema import TableSchema, read_table
from tests import layouts
from tests.layouts import Row

Write = Callable[[list[Row], Path], Source | SlateSource]

SOURCES: dict[str, Write] = {
    "parquet_tables": layouts.parquet_tables,
    "feedback_clicks": layouts.feedback_clicks,
    "movielens_100k": layouts.movielens_100k,
    "movielens_1m": layouts.movielens_1m,
    "movielens_32m": layouts.movielens_32m,
    "recbole_100k": layouts.recbole_100k,
    "recbole_1m": layouts.recbole_1m,
    "parquet_slates": layouts.parquet_slates,
    "parquet_exposures": layouts.parquet_exposures,
    "ebnerd": layouts.ebnerd,
    "mind": layouts.mind,
    "kuairand": layouts.kuairand,
    "finn": layouts.finn,
    "simulated_slates": layouts.simulated_slates,
}
every_source = pytest.mark.parametrize("write", SOURCES.values(), ids=SOURCES)

ROWS: list[Row] = [
    (1, 978300100, [3, 5, 9], [1]),
    (1, 978300200, [4, 6], [0]),
    (2, 978300150, [5, 7, 8, 3], []),
    (2, 978300300, [6, 3, 10], [2]),
    (3, 978300050, [9], [0]),
    (3, 978300250, [12, 3, 4], [1]),
]
CHANGED: list[Row] = [*ROWS[:-1], (3, 978300250, [12, 5, 4], [1])]


def with_stray_quotes(folder: Path) -> int:
    """Put a quote into every other row of the files of text, where no reader needs it; return the number of files."""
    count = 0
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".parquet"):
        if file.suffix == ".csv":
            head, *rows = file.read_text().splitlines()
            noted = [f'{row},{19 + place}" screen' if place % 2 else f"{row},plain" for place, row in enumerate(rows)]
            file.write_text("\n".join([f"{head},note", *noted]) + "\n")
        elif file.suffix != ".npz":
            lines = file.read_bytes().split(b"\n")
            texts = [row.replace(b"Film ", b'9" Film ').replace(b"News ", b'9" News ') for row in lines]
            every = enumerate(zip(lines, texts, strict=True))
            file.write_bytes(b"\n".join(old if place % 2 else new for place, (old, new) in every))
        count += file.suffix != ".npz"
    return count


def read(source: Source | SlateSource) -> Tables | SlateTables:
    return source.slates() if isinstance(source, SlateSource) else source.tables()


def main_table(tables: Tables | SlateTables) -> pl.DataFrame:
    return (tables.impressions if isinstance(tables, SlateTables) else tables.interactions).collect()


def in_order(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows by user, time and item. Ids of requests may be numbers of rows, and are left out."""
    plain = frame.drop("request_id", strict=False)
    names = [name for name in ("user_id", "timestamp", "order", "item_id") if name in plain.columns]
    return plain.select(sorted(plain.columns)).sort(names)


@every_source
def test_it_is_a_source_of_interactions_or_of_slates(write: Write, tmp_path: Path) -> None:
    source = write(ROWS, tmp_path)
    assert isinstance(source, Source) != isinstance(source, SlateSource)
    tables = read(source)
    assert isinstance(tables, SlateTables if isinstance(source, SlateSource) else Tables)
    assert tables.name and tables.fingerprint


@every_source
def test_it_reads_every_event_or_every_slate(write: Write, tmp_path: Path) -> None:
    source = write(ROWS, tmp_path)
    found, clicked = main_table(read(source)), layouts.events(ROWS)
    assert len(found) == (len(ROWS) if isinstance(source, SlateSource) else len(clicked))
    assert found.get_column("user_id").n_unique() == 3
    if isinstance(source, Source):
        counts = [frame.get_column("item_id").value_counts().get_column("count").sort() for frame in (found, clicked)]
        assert counts[0].to_list() == counts[1].to_list()


@every_source
def test_a_quote_inside_a_field_loses_no_row(write: Write, tmp_path: Path) -> None:
    before = read(write(ROWS, tmp_path))
    expected, items = in_order(main_table(before)), None if before.items is None else len(before.items.collect())
    source = write(ROWS, tmp_path)
    if not with_stray_quotes(tmp_path):
        pytest.skip("the source reads no text")
    found = read(source)
    rows = main_table(found)
    if rows.schema.get("item_id") == pl.String:  # titles are the ids of this layout
        rows = rows.with_columns(pl.col("item_id").str.strip_prefix('9" '))
    assert_frame_equal(in_order(rows), expected)
    assert (None if found.items is None else len(found.items.collect())) == items


@every_source
def test_its_tables_are_canonical(write: Write, tmp_path: Path) -> None:
    """As tables of one's own, they pass every check."""

    def checked(name: str, frame: pl.LazyFrame, schema: TableSchema) -> pl.Schema:
        frame.collect().write_parquet(tmp_path / f"canonical_{name}.parquet")
        return read_table(tmp_path / f"canonical_{name}.parquet", schema).collect_schema()

    tables = read(write(ROWS, tmp_path))
    if isinstance(tables, SlateTables):
        tables.impressions.collect().write_parquet(tmp_path / "canonical.parquet")
        impressions = read_impressions(tmp_path / "canonical.parquet", tables.feedback).collect_schema()
        kinds = {"user_id": impressions["user_id"], "item_id": pl.Series(dtype=impressions["slate"]).explode().dtype}
        if tables.group is not None:
            assert tables.items is not None and tables.group in tables.items.collect_schema()
        assert all(number >= 0 for number in tables.dropped.values())
    else:
        kinds = dict(checked("interactions", tables.interactions, INTERACTIONS))
    for key, frame, schema in (("item_id", tables.items, ITEMS), ("user_id", tables.users, USERS)):
        if frame is not None:
            kind = checked(schema.name, frame, schema)[key]
            assert kind.is_integer() == kinds[key].is_integer(), f"{key} is of two types"


@every_source
def test_the_order_of_rows_does_not_matter(write: Write, tmp_path: Path) -> None:
    (tmp_path / "reversed").mkdir()
    one, other = read(write(ROWS, tmp_path)), read(write(ROWS[::-1], tmp_path / "reversed"))
    assert_frame_equal(in_order(main_table(one)), in_order(main_table(other)))
    for mine, theirs in ((one.items, other.items), (one.users, other.users)):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert_frame_equal(in_order(mine.collect()), in_order(theirs.collect()))


@every_source
def test_the_fingerprint_changes_with_the_content_and_not_with_another_read(write: Write, tmp_path: Path) -> None:
    source = write(ROWS, tmp_path)
    first = read(source).fingerprint
    assert read(source).fingerprint == read(write(ROWS, tmp_path)).fingerprint == first
    assert read(write(CHANGED, tmp_path)).fingerprint != first


@every_source
def test_reading_leaves_the_files_as_they_were(write: Write, tmp_path: Path) -> None:
    def files() -> dict[Path, tuple[bytes, int]]:
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}

    source = write(ROWS, tmp_path)
    before = files()
    main_table(read(source))
    assert files() == before
