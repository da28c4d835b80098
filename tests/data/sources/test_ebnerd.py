from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.sources.ebnerd import EbNerd
from recsys.data.sources.source import SlateSource
from recsys.errors import DataError

GOOD: dict[str, Any] = {
    "impression_id": [9, 71, 60],
    "user_id": [12, 33, 12],
    "impression_time": [datetime(2023, 2, 27, 3), datetime(2023, 2, 24), datetime(2023, 2, 26)],
    "article_ids_inview": [[102, 105, 101], [105, 101], [103, 102]],
    "article_ids_clicked": [[101, 102], [105], []],
    "read_time": [17.0, 82.0, 3.0],
}


def write(folder: Path, **changes: Any) -> Path:
    path = folder / "behaviors.parquet"
    columns = {name: values for name, values in {**GOOD, **changes}.items() if values is not None}
    kinds = {"impression_id": pl.UInt32, "user_id": pl.UInt32, "article_ids_inview": pl.List(pl.Int32)}
    pl.DataFrame(columns).cast({name: kind for name, kind in kinds.items() if name in columns}).write_parquet(path)
    return path


def test_clicked_articles_become_positions_in_their_order(tmp_path: Path) -> None:
    source = EbNerd(write(tmp_path))
    assert isinstance(source, SlateSource)
    tables = source.slates()
    assert tables.impressions.select("request_id", "slate", "clicks").collect().rows() == [
        (9, [102, 105, 101], [2, 0]),
        (71, [105, 101], [0]),
        (60, [103, 102], []),
    ]
    assert tables.timed and not tables.displayed


def test_a_log_of_them(tmp_path: Path) -> None:
    log = prepare_slates(EbNerd(write(tmp_path)))
    assert log.requests.get_column("request_id").to_list() == [60, 9, 71]
    assert log.items.get_column("item_id").to_list() == [101, 102, 103, 105]
    assert log.first_click().tolist() == [-1, 2, 0]
    assert log.times().tolist()[1] == int(datetime(2023, 2, 27, 3).timestamp())


def test_articles_bring_groups(tmp_path: Path) -> None:
    articles = tmp_path / "articles.parquet"
    frame = pl.DataFrame({"article_id": [101, 102, 103, 105, 106], "category_str": ["b", "a", "a", "b", "c"]})
    frame.write_parquet(articles)
    log = prepare_slates(EbNerd(write(tmp_path), articles, group="category_str"))
    assert log.items.get_column("group").to_list() == [1, 0, 0, 1]
    assert log.fingerprint != prepare_slates(EbNerd(write(tmp_path))).fingerprint
    with pytest.raises(DataError, match=r"articles.parquet: no column 'kind' to group articles by"):
        EbNerd(write(tmp_path), articles, group="kind").slates()


MALFORMED = {
    "hidden clicks": ({"article_ids_clicked": None}, "column 'article_ids_clicked' of table 'behaviors' is missing"),
    "click not in view": (
        {"article_ids_clicked": [[101], [105], [104]]},
        r"row 2 \(from 0\), column 'article_ids_clicked': article 104 is not in article_ids_inview",
    ),
    "article twice": (
        {"article_ids_inview": [[102, 101], [105, 101, 105], [103]]},
        r"row 1 \(from 0\), column 'slate': \[105, 101, 105\] holds an item twice",
    ),
    "nothing in view": ({"article_ids_inview": [[102, 101], [105], []]}, r"row 2 .* \[\] is an empty slate"),
    "milliseconds": ({"impression_time": [1, 2, 1_700_000_000_000]}, "row 2 .*looks like milliseconds"),
    "impression twice": ({"impression_id": [9, 9, 60]}, "row 1 .*'impression_id': 9 occurs twice"),
}


@pytest.mark.parametrize(("changes", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_files(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        EbNerd(path).slates()
    assert str(path) in str(caught.value)


def test_where_the_file_is_when_it_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no such file; expected behaviors.parquet of EB-NeRD. Download it from recsys.eb.dk"
    ):
        EbNerd(tmp_path).slates()
