from __future__ import annotations

from pathlib import Path

from recsys.data.sources import movielens_layouts as layouts

RATINGS_100K = [(196, 242, 3.0, 881250949), (186, 1, 5.0, 891717742)]


def test_official_100k(official_100k: Path) -> None:
    interactions, items, users = layouts.read_100k(official_100k)
    assert interactions.collect().rows() == RATINGS_100K
    assert items.collect().rows() == [
        (242, "Misérables, Les (1995)", 1995, ["Children's", "Comedy"]),
        (1, "unknown", None, ["unknown"]),
    ]
    assert users is not None and users.collect().row(0) == (196, 49, "M", "writer", "55105")


def test_the_carried_100k_is_the_same(recbole_100k: Path, tmp_path: Path) -> None:
    interactions, items, users = layouts.read_recbole_100k(recbole_100k)
    assert interactions.collect().rows() == RATINGS_100K
    assert items.collect().rows() == [
        (242, "Misérables, Les (1995)", 1995, ["Children's", "Comedy"]),
        (1, "unknown", None, ["unknown"]),
    ]
    assert users is not None and users.collect().row(1) == (186, 39, "F", "executive", "00000")


def test_official_1m(official_1m: Path) -> None:
    interactions, items, users = layouts.read_1m(official_1m)
    assert interactions.collect().rows() == [(1, 1193, 5.0, 978300760), (2, 661, 3.0, 978302109)]
    assert items.collect().rows() == [
        (1193, "Élan: (Le) (1975)", 1975, ["Drama"]),
        (661, "James (1996)", 1996, ["Animation", "Children's"]),
    ]
    assert users is not None and users.collect().row(1) == (2, "M", 56, "16", "70072-1234")


def test_the_carried_1m_names_films_by_title(recbole_1m: Path) -> None:
    interactions, items, users = layouts.read_recbole_1m(recbole_1m)
    assert interactions.collect().rows() == [
        (1, 'One "Flew" (1975)', 5.0, 978300760),
        (2, "James (1996)", 3.0, 978302109),
    ]
    assert items.collect().row(1) == ("James (1996)", "James (1996)", 1996, ["Animation", "Children's"])
    assert users is not None and users.collect().row(1) == (2, 56, "M", 16, "70072")


def test_official_32m(official_32m: Path) -> None:
    interactions, items, users = layouts.read_32m(official_32m)
    assert interactions.collect().rows() == [(1, 17, 4.5, 944249077), (2, 25, 1.0, 944250228)]
    assert items.collect().rows() == [
        (17, 'Sense, and "Sense" (1995)', 1995, ["Drama", "Romance"]),
        (25, "Nameless", None, []),
    ]
    assert users is None
