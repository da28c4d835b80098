from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from recsys.data.tables.text import as_ids, scan_text
from recsys.errors import DataError

STRAY = 'user,place,note\na,1,27" wheel\nb,2,plain\na,3,"red, or blue"\nc,4,12" record\n'


def rows(path: Path) -> list[tuple[str | None, ...]]:
    return scan_text(path).collect().rows()


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.tsv", "log.tsv.gz"])
def test_every_row_is_read_whichever_columns_are(tmp_path: Path, name: str) -> None:
    text = STRAY.replace(", ", "; ").replace(",", "\t" if ".tsv" in name else ",")
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert scan_text(path).select("place").collect().to_series().to_list() == ["1", "2", "3", "4"]
    assert scan_text(path).select("note").collect().item(2, 0) == "red; or blue"
    assert scan_text(path).select("note").collect().item(0, 0) == '27" wheel'
    assert scan_text(path).select(pl.len()).collect().item() == 4


def test_quoted_fields_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    text = '\ufeffuser,note\r\n1,"two ""words"", one comma"\r\n2,"two\nlines"\r\n3,\r\n4\r\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert rows(tmp_path / "a.csv") == [
        ("1", 'two "words", one comma'),
        ("2", "two\nlines"),
        ("3", None),
        ("4", None),
    ]
    (tmp_path / "b.csv").write_text('user,note\n1,"two ""words"", one comma"\n3,\n')
    assert rows(tmp_path / "b.csv") == [("1", 'two "words", one comma'), ("3", None)]


@pytest.mark.parametrize("stray", ["", 'x,5" disc\n'])
def test_a_row_longer_than_the_header_is_refused_with_its_line(tmp_path: Path, stray: str) -> None:
    (tmp_path / "a.csv").write_text(f"user,note\ny,fine\n{stray}z,one,two\n")
    with pytest.raises(DataError, match=rf"a.csv, line {4 if stray else 3}: the row has more fields than the 2"):
        rows(tmp_path / "a.csv")


@pytest.mark.parametrize("broken", ['x,"open\ny,fine\n', 'x,"half" open\ny,fine\n'])
def test_a_quote_without_a_partner_is_refused_with_its_line(tmp_path: Path, broken: str) -> None:
    (tmp_path / "a.csv").write_text(f"user,note\nw,fine\n{broken}")
    with pytest.raises(DataError, match=r"a.csv, line 3: a quote opens a field and does not close it"):
        rows(tmp_path / "a.csv")


def test_a_file_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("user,note\nw,fine\n")
    assert len(rows(path)) == 1
    path.write_text(STRAY)
    assert len(rows(path)) == 4


def test_ids_of_two_tables_are_equal_only_if_they_are_written_alike() -> None:
    frame = pl.DataFrame({"id": ["7", "007", "x", None]})
    text, integer = pl.String(), pl.Int64()
    assert frame.select(as_ids(pl.col("id"), text, integer)).to_series().to_list() == [7, None, None, None]
    numbers = pl.DataFrame({"id": [7, None]})
    assert numbers.select(as_ids(pl.col("id"), integer, text)).to_series().to_list() == ["7", None]


def test_a_quoted_empty_field_is_null_however_the_file_is_read(tmp_path: Path) -> None:
    for name, other in (("plain", '"b"'), ("irregular", '19" monitor')):
        path = tmp_path / f"{name}.csv"
        path.write_text(f'user_id,item_id\n1,""\n2,{other}\n')
        assert scan_text(path).collect()["item_id"][0] is None
