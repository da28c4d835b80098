from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recsys.data.tables import scan
from recsys.errors import DataError


@pytest.fixture
def partitioned(tmp_path: Path) -> Path:
    for day in (1, 2):
        folder = tmp_path / "log" / f"date=2024-01-0{day}"
        folder.mkdir(parents=True)
        pl.DataFrame({"user_id": [day, day], "item_id": [3, None]}).write_parquet(folder / "part.parquet")
    (tmp_path / "log" / "_SUCCESS").touch()
    return tmp_path / "log"


def test_hive_partitions_become_columns(partitioned: Path) -> None:
    for location in (str(partitioned), f"{partitioned}/**/*.parquet"):
        frame = scan.scan(location).collect()
        assert frame.get_column("user_id").to_list() == [1, 1, 2, 2]
        assert frame.get_column("date").cast(pl.String).to_list() == ["2024-01-01"] * 2 + ["2024-01-02"] * 2


def test_first_row_counts_within_its_file(partitioned: Path) -> None:
    wanted = (pl.col("item_id").is_null()) & (pl.col(scan.FILE).str.contains("-02"))
    file, row, value = scan.first_row(str(partitioned), wanted, "item_id")
    assert (Path(file).parent.name, row, value) == ("date=2024-01-02", 1, None)


def test_columns_that_only_some_files_have_are_no_matter(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"a": [2], "b": [3]}).write_parquet(tmp_path / "2.parquet")
    assert scan.scan(str(tmp_path)).collect().to_dict(as_series=False) == {"a": [1, 2]}


def test_object_stores_are_left_to_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(pl, "scan_parquet", lambda paths, **options: asked.append((paths, options)) or pl.LazyFrame())
    scan.scan("s3://bucket/log/")
    scan.scan("s3://bucket/log.parquet")
    assert [paths for paths, _ in asked] == ["s3://bucket/log/**/*.parquet", "s3://bucket/log.parquet"]
    assert [options["hive_partitioning"] for _, options in asked] == [True, False]


def test_a_url_is_read_like_a_path(partitioned: Path) -> None:
    assert len(scan.scan(f"file://{partitioned}").collect()) == 4


@pytest.mark.parametrize("location", ["none.parquet", "none", "none/*.parquet"])
def test_a_table_that_is_not_there(tmp_path: Path, location: str) -> None:
    with pytest.raises(DataError, match="no such table"):
        scan.scan(str(tmp_path / location))


def test_an_empty_folder_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such table"):
        scan.scan(str(tmp_path))


def test_the_damaged_file_of_many_is_named(partitioned: Path) -> None:
    damaged = partitioned / "date=2024-01-02" / "part.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    unreadable = r"date=2024-01-02/part.parquet cannot be read"
    with pytest.raises(DataError, match=unreadable), scan.polars_errors(str(partitioned)):
        scan.scan(str(partitioned)).collect()


def test_the_file_with_another_type_is_named(partitioned: Path) -> None:
    pl.DataFrame({"user_id": ["x"], "item_id": [1]}).write_parquet(partitioned / "date=2024-01-02" / "part.parquet")
    with (
        pytest.raises(DataError, match=r"date=2024-01-02/part.parquet .* 'user_id' is String, in the first file Int64"),
        scan.polars_errors(str(partitioned)),
    ):
        scan.scan(str(partitioned)).collect()


def test_a_missing_column_in_one_file_is_named(partitioned: Path) -> None:
    pl.DataFrame({"user_id": [1]}).write_parquet(partitioned / "date=2024-01-02" / "part.parquet")
    with (
        pytest.raises(DataError, match=r"'item_id' is missing, in the first file Int64"),
        scan.polars_errors(str(partitioned)),
    ):
        scan.scan(str(partitioned)).collect()


def test_a_header_that_names_a_column_twice(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id,user_id\n1,2,3\n")
    with pytest.raises(DataError, match=r"log.csv, line 1: the header names column 'user_id' twice"):
        scan.scan(str(tmp_path / "log.csv"))


def test_a_text_file_without_content_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "log.csv").touch()
    with pytest.raises(DataError, match="is empty, expected a header line"):
        scan.scan(str(tmp_path / "log.csv"))
    with pytest.raises(DataError, match="no such file"):
        scan.scan(str(tmp_path / "other.csv"))
