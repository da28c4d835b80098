from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

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


def test_object_stores_are_listed_by_polars(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    listed = pl.LazyFrame({scan.FILE: ["s3://bucket/log/day=1/a.parquet"]})
    monkeypatch.setattr(pl, "scan_parquet", lambda paths, **_: asked.append(paths) or listed)
    assert scan.scan("s3://bucket/log/").collect_schema() == {"day": pl.Int64}
    assert scan.scan("s3://bucket/log.parquet").collect_schema() == {}
    assert asked == ["s3://bucket/log/**/*.parquet", "s3://bucket/log.parquet"]


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


def table(path: Path, **columns: list) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(columns).write_parquet(path)


@pytest.mark.parametrize("address", ["{}", "file://{}"])
def test_partitions_keep_ids_as_they_are_written(tmp_path: Path, address: str) -> None:
    for shop in ("03", "3"):
        table(tmp_path / "log" / f"shop={shop}" / "day=2" / "a.parquet", sold=[1])
    frame = scan.scan(address.format(tmp_path / "log")).collect()
    assert frame.get_column("shop").sort().to_list() == ["03", "3"]
    assert frame.get_column("day").to_list() == [2, 2]


def test_partitions_are_below_the_location_only(tmp_path: Path) -> None:
    table(tmp_path / "shop=9" / "log" / "day=1" / "a.parquet", shop=[4], sold=[1])
    root = tmp_path / "shop=9"
    for location in (root / "log", root / "log" / "*" / "a.parquet", root / "log" / "day=1" / "a.parquet"):
        assert scan.scan(str(location)).select("shop").collect().item() == 4
    assert "day" in scan.scan(str(root / "log" / "*" / "a.parquet")).collect_schema()
    assert "day" not in scan.scan(str(root / "log" / "day=1" / "*.parquet")).collect_schema()


def test_a_partition_that_contradicts_its_file_is_refused(tmp_path: Path) -> None:
    table(tmp_path / "day=1" / "a.parquet", day=[1, 1])
    assert scan.scan(str(tmp_path)).collect().get_column("day").to_list() == [1, 1]
    table(tmp_path / "day=2" / "a.parquet", day=[2, 5])
    with pytest.raises(DataError, match=r"day=2/a.parquet: column 'day' holds 5, and the folder says day=2"):
        scan.scan(str(tmp_path))


def test_partitions_of_numbers_nulls_and_encoded_texts(tmp_path: Path) -> None:
    for place, (share, town) in enumerate([("0.5", "Bad%20Ems"), ("1", "__HIVE_DEFAULT_PARTITION__")]):
        table(tmp_path / f"share={share}" / f"town={town}" / "a.parquet", place=[place])
    found = scan.scan(str(tmp_path)).sort("place").collect()
    assert found.select("share", "town").rows() == [(0.5, "Bad Ems"), (1.0, None)]


@pytest.mark.parametrize("address", ["{}", "{}/**/*.parquet", "file://{}"])
def test_files_that_are_unfinished_or_hidden_are_no_data(tmp_path: Path, address: str) -> None:
    table(tmp_path / "part-0.parquet", sold=[1, 2])
    for hidden in ("_temporary/0/part-0.parquet", ".part-1.parquet", "_part-2.parquet", "day=1/.tmp/part-3.parquet"):
        table(tmp_path / hidden, sold=[7])
    assert scan.scan(address.format(tmp_path)).collect().get_column("sold").to_list() == [1, 2]


def test_hidden_names_can_be_asked_for(tmp_path: Path) -> None:
    table(tmp_path / "_old" / "part-0.parquet", sold=[1])
    for location in ("_old", "_old/part-0.parquet", "_old/*.parquet", "*/../_old/*.parquet"):
        assert len(scan.scan(f"{tmp_path}/{location}").collect()) == 1
    with pytest.raises(DataError, match=r"no such table.*\(1 with a name that starts with '_' or '.' left out\)"):
        scan.scan(str(tmp_path))


@pytest.mark.parametrize("name", ["run[12]", "a*", "what?", "data [v2]"])
def test_what_exists_is_no_pattern(tmp_path: Path, name: str) -> None:
    for folder, count in ((name, 3), ("run1", 1), ("ab", 1), ("whatx", 1)):
        table(tmp_path / folder / "log.parquet", sold=list(range(count)))
        (tmp_path / folder / "log.csv").write_text("sold\n" + "1\n" * count)
    for location in (tmp_path / name, tmp_path / name / "log.parquet", tmp_path / name / "log.csv"):
        assert len(scan.scan(str(location)).collect()) == 3


def test_no_reader_of_the_package_takes_a_path_for_a_pattern() -> None:
    """polars expands `[`, `*` and `?` in every path unless it is told not to."""
    package = Path(scan.__file__).parents[2]
    readers = {"read_parquet", "scan_parquet", "read_csv", "scan_csv", "scan_lines", "read_lines", "scan_ndjson"}
    found = []
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            if node.func.attr in readers and not any(keyword.arg == "glob" for keyword in node.keywords):
                found.append((file.name, ast.unparse(node)))
    remote_and_memory = ("hidden_file_prefix", "BytesIO")
    assert [call for call in found if not any(word in call[1] for word in remote_and_memory)] == []
