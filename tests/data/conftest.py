"""Small logs and the files of public data sets in their official layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recsys.data.sources.source import Tables


class FrameSource:
    """A source over frames in memory."""

    def __init__(self, interactions: pl.DataFrame, items: pl.DataFrame | None = None, fingerprint: str = "a") -> None:
        self.interactions, self.items, self.fingerprint = interactions, items, fingerprint
        self.reads = 0

    def tables(self) -> Tables:
        self.reads += 1
        items = None if self.items is None else self.items.lazy()
        return Tables(self.interactions.lazy(), items, None, "frames", self.fingerprint)


@pytest.fixture(scope="session")
def source() -> Callable[..., FrameSource]:
    return FrameSource


@pytest.fixture
def log() -> pl.DataFrame:
    """Three users; user 30 has items 5, 6, 7, 8 at days 0, 1, 1, 2; rows out of order."""
    day = 86_400
    rows = [
        (30, 8, 2 * day),
        (30, 5, 0),
        (10, 5, 10),
        (30, 6, day),
        (10, 7, 20),
        (30, 7, day + 9),
        (20, 6, 5),
        (10, 6, 4 * day),
    ]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")


@pytest.fixture
def official_100k(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    flags = {4: 1, 5: 1}
    genres = "|".join(str(flags.get(position, 0)) for position in range(19))
    none = "|".join("1" if position == 0 else "0" for position in range(19))
    (folder / "u.data").write_text("196\t242\t3\t881250949\n186\t1\t5\t891717742\n")
    (folder / "u.item").write_bytes(
        f"242|Misérables, Les (1995)|01-Jan-1995||http://x|{genres}\n1|unknown||||{none}\n".encode("latin-1")
    )
    (folder / "u.user").write_text("196|49|M|writer|55105\n186|39|F|executive|00000\n")
    return folder


@pytest.fixture
def official_1m(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ratings.dat").write_text("1::1193::5::978300760\n2::661::3::978302109\n")
    movies = "1193::Élan: (Le) (1975)::Drama\n661::James (1996)::Animation|Children's\n"
    (folder / "movies.dat").write_bytes(movies.encode("latin-1"))
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072-1234\n")
    return folder


@pytest.fixture
def official_32m(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-32m"
    folder.mkdir()
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,17,4.5,944249077\n2,25,1.0,944250228\n")
    (folder / "movies.csv").write_text(
        'movieId,title,genres\n17,"Sense, and ""Sense"" (1995)",Drama|Romance\n25,Nameless,(no genres listed)\n'
    )
    return folder


@pytest.fixture
def recbole_100k(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    (folder / "ml-100k.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n186\t1\t5\t891717742\n"
    )
    (folder / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "242\tMisérables, Les\t1995\tChildren's Comedy\n1\tunknown\tunknown\tunknown\n"
    )
    (folder / "ml-100k.user").write_text(
        "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
        "196\t49\tM\twriter\t55105\n186\t39\tF\texecutive\t00000\n"
    )
    return folder


@pytest.fixture
def recbole_1m(tmp_path: Path) -> Path:
    folder = tmp_path / "ml-1m"
    folder.mkdir()
    (folder / "ml-1m.inter").write_bytes(
        b"user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n"
        b'1m_1\tOne "Flew" (1975)\t5\t978300760\r\n1m_2\tJames (1996)\t3\t978302109\r\n'
    )
    (folder / "ml-1m.item").write_bytes(
        b"item_id:token\tmovie_title:token\trelease_year:float\tgenre:token\r\n"
        b'One "Flew" (1975)\tOne "Flew"\t1975\tDrama\r\nJames (1996)\tJames\t1996\tAnimation Children\'s\r\n'
    )
    (folder / "ml-1m.user").write_bytes(
        b"user_id:token\tage:float\tgender:token\toccupation:float\tzip_code:token\r\n"
        b"1m_1\t1\tF\t10\t48067\r\n1m_2\t56\tM\t16\t70072\r\n"
    )
    return folder
