from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.sources.mind import Mind
from recsys.data.sources.source import SlateSource
from recsys.errors import DataError

GOOD = (
    "1\tU87\t11/15/2019 8:55:22 AM\tN9 N8\tN1-0 N22-1 N3-1\n"
    "2\tU5\t11/11/2019 12:00:01 PM\t\tN3-0\n"
    "3\tU87\t11/9/2019 12:00:01 AM\tN8\tN22-1 N4-0 \n"
)
NEWS = (
    'N1\tsports\tgolf\tA "quoted title\tText\thttps://x\t[]\t[]\n'
    "N22\tnews\tnewsus\tB\t\thttps://x\t[]\t[]\n"
    "N3\tsports\ttennis\tC\tText\thttps://x\t[]\t[]\n"
    "N99\tfood\trecipes\tD\tText\thttps://x\t[]\t[]\n"
)


def write(folder: Path, content: str = GOOD) -> Path:
    (folder / "behaviors.tsv").write_text(content)
    return folder


def test_rows_become_slates_and_positions(tmp_path: Path) -> None:
    source = Mind(write(tmp_path))
    assert isinstance(source, SlateSource)
    tables = source.slates()
    assert tables.impressions.collect().rows() == [
        (1, "U87", datetime(2019, 11, 15, 8, 55, 22), ["N1", "N22", "N3"], [1, 2]),
        (2, "U5", datetime(2019, 11, 11, 12, 0, 1), ["N3"], []),
        (3, "U87", datetime(2019, 11, 9, 0, 0, 1), ["N22", "N4"], [0]),
    ]
    assert tables.timed and not tables.displayed and tables.items is None and tables.group is None


def test_news_are_items_with_groups(tmp_path: Path) -> None:
    (write(tmp_path) / "news.tsv").write_text(NEWS)
    log = prepare_slates(Mind(tmp_path))
    assert log.items.get_column("item_id").to_list() == ["N1", "N22", "N3", "N4"]
    assert log.items.get_column("group_name").to_list() == ["sports", "news", "sports", None]
    assert log.items.get_column("group").to_list() == [1, 0, 1, 2]
    assert log.items.get_column("title")[0] == 'A "quoted title'
    assert log.summary["items_without_impressions"] == 1
    assert log.requests.get_column("request_id").to_list() == [2, 3, 1]


def test_groups_are_chosen_by_name(tmp_path: Path) -> None:
    (write(tmp_path) / "news.tsv").write_text(NEWS)
    assert prepare_slates(Mind(tmp_path, "subcategory")).num_groups == 4
    assert prepare_slates(Mind(tmp_path, None)).num_groups == 1
    with pytest.raises(DataError, match=r"news.tsv: no column 'topic' to group news by; expected category or subcateg"):
        Mind(tmp_path, "topic").slates()


def test_the_fingerprint_follows_both_files(tmp_path: Path) -> None:
    first = Mind(write(tmp_path)).slates().fingerprint
    (tmp_path / "news.tsv").write_text(NEWS)
    second = Mind(tmp_path).slates().fingerprint
    third = Mind(write(tmp_path, GOOD.replace("N22-1", "N22-0"))).slates().fingerprint
    assert len({first, second, third}) == 3


MALFORMED = {
    "time": ("2\tU5\t2019-11-11\t\tN3-0\n", r"row 3 .*'timestamp': '2019-11-11', expected a time such as 11/15/2019"),
    "number": ("two\tU5\t11/11/2019 1:00:01 PM\t\tN3-0\n", "row 3 .*'request_id': 'two', expected a whole number"),
    "no user": ("4\t\t11/11/2019 1:00:01 PM\t\tN3-0\n", "row 3 .*'user_id': None, expected a user's id"),
    "no labels": ("4\tU5\t11/11/2019 1:00:01 PM\t\tN3 N4\n", r"row 3 .*'shown': 'N3 N4', expected news with 1 where"),
    "one label missing": ("4\tU5\t11/11/2019 1:00:01 PM\t\tN3-1 N4\n", "row 3 .*'shown': 'N3-1 N4', expected news"),
    "nothing shown": ("4\tU5\t11/11/2019 1:00:01 PM\t\t\n", "row 3 .*'shown': None, expected news"),
    "cut short": ("4\tU5\t11/11/2019 1:0", "row 3 .*'timestamp': '11/11/2019 1:0', expected a time"),
    "news twice": ("4\tU5\t11/11/2019 1:00:01 PM\t\tN3-1 N3-0\n", "row 3 .*'slate': .* holds an item twice"),
    "too many fields": ("4\tU5\t11/11/2019 1:00:01 PM\t\tN3-1\tN4-1\n", "behaviors.tsv cannot be read"),
}


@pytest.mark.parametrize(("row", "message"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_rows(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        Mind(write(tmp_path, GOOD + row)).slates()
    assert str(tmp_path / "behaviors.tsv") in str(caught.value)


def test_a_request_that_comes_twice(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"behaviors.tsv, row 3 \(from 0\), column 'request_id': 1 occurs twice"):
        Mind(write(tmp_path, GOOD + GOOD)).slates()


def test_where_the_files_are_when_they_are_not_here(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"behaviors.tsv: no such file; .* msnews.github.io"):
        Mind(tmp_path).slates()
