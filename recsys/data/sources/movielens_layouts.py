"""Readers of the file layouts of MovieLens releases and of the packages that contain copies of them.

Each reader takes the folder that holds the files and returns canonical tables. In every layout titles end in the year,
as in "Toy Story (1995)", and `categories` are the genres.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import polars as pl

from recsys.data.tables.text import scan_text

Frames = tuple[pl.LazyFrame, pl.LazyFrame, pl.LazyFrame | None]
"""Interactions, items and users."""

GENRES = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]
"""The genres of the flag columns of `u.item`, in order."""

RATING = {"user_id": pl.Int64, "item_id": pl.Int64, "rating": pl.Float64, "timestamp": pl.Int64}


def read_100k(folder: Path) -> Frames:
    """Read `u.data` (separated by tabs), `u.item` and `u.user` (separated by bars, Latin-1)."""
    interactions = pl.scan_csv(
        folder / "u.data", separator="\t", quote_char=None, has_header=False, schema=RATING, glob=False
    )
    flags = [f"genre_{position}" for position in range(len(GENRES))]
    columns = ["item_id", "title", "release", "video_release", "link", *flags]
    items = _latin(folder / "u.item", b"|", columns).select(
        pl.col("item_id").cast(pl.Int64),
        "title",
        _year(),
        pl.concat_list(
            pl.when(pl.col(flag) == "1").then(pl.lit(genre)) for flag, genre in zip(flags, GENRES, strict=True)
        )
        .list.drop_nulls()
        .alias("categories"),
    )
    users = _latin(folder / "u.user", b"|", ["user_id", "age", "gender", "occupation", "zip"])
    return interactions, items, users.with_columns(pl.col("user_id", "age").cast(pl.Int64))


def read_1m(folder: Path) -> Frames:
    """Read `ratings.dat`, `movies.dat` and `users.dat`: separated by double colons, Latin-1."""
    interactions = _latin(folder / "ratings.dat", b"::", list(RATING)).cast({**RATING})
    items = _latin(folder / "movies.dat", b"::", ["item_id", "title", "genres"]).select(
        pl.col("item_id").cast(pl.Int64), "title", _year(), pl.col("genres").str.split("|").alias("categories")
    )
    users = _latin(folder / "users.dat", b"::", ["user_id", "gender", "age", "occupation", "zip"])
    return interactions, items, users.with_columns(pl.col("user_id", "age").cast(pl.Int64))


def read_32m(folder: Path) -> Frames:
    """Read `ratings.csv` and `movies.csv`: UTF-8 with a header. This release has no table of users."""
    names = {"userId": "user_id", "movieId": "item_id"}
    interactions = scan_text(folder / "ratings.csv").rename(names).select(list(RATING)).cast({**RATING})
    items = scan_text(folder / "movies.csv").select(
        pl.col("movieId").cast(pl.Int64).alias("item_id"),
        "title",
        _year(),
        pl.when(pl.col("genres") == "(no genres listed)")
        .then(pl.lit([], dtype=pl.List(pl.String)))
        .otherwise(pl.col("genres").str.split("|"))
        .alias("categories"),
    )
    return interactions, items, None


def read_recbole_100k(folder: Path) -> Frames:
    """Read `ml-100k.{inter,item,user}`: separated by tabs, with a header of `name:type`."""
    interactions = _recbole(folder / "ml-100k.inter").select(
        pl.col("user_id", "item_id").cast(pl.Int64), "rating", pl.col("timestamp").cast(pl.Int64)
    )
    items = _recbole(folder / "ml-100k.item").select(
        pl.col("item_id").cast(pl.Int64),
        pl.when(pl.col("release_year").str.contains(r"^\d{4}$"))
        .then(pl.format("{} ({})", "movie_title", "release_year"))
        .otherwise("movie_title")
        .alias("title"),
        pl.col("release_year").cast(pl.Int64, strict=False).alias("year"),
        pl.col("class").str.split(" ").alias("categories"),
    )
    users = _recbole(folder / "ml-100k.user").select(
        pl.col("user_id", "age").cast(pl.Int64), "gender", "occupation", pl.col("zip_code").alias("zip")
    )
    return interactions, items, users


def read_recbole_1m(folder: Path) -> Frames:
    """Read `ml-1m.{inter,item,user}`: like the 100K files, but item ids are titles and user ids start with `1m_`."""
    user = pl.col("user_id").str.strip_prefix("1m_").cast(pl.Int64)
    interactions = _recbole(folder / "ml-1m.inter").select(
        user, "item_id", "rating", pl.col("timestamp").cast(pl.Int64)
    )
    items = _recbole(folder / "ml-1m.item").select(
        "item_id",
        pl.col("item_id").alias("title"),
        pl.col("release_year").cast(pl.Int64).alias("year"),
        pl.col("genre").str.split(" ").alias("categories"),
    )
    users = _recbole(folder / "ml-1m.user").select(
        user,
        pl.col("age").cast(pl.Int64),
        "gender",
        pl.col("occupation").cast(pl.Int64),
        pl.col("zip_code").alias("zip"),
    )
    return interactions, items, users


def _recbole(path: Path) -> pl.LazyFrame:
    """Read a table whose header is `name:type`. Columns of type `float` become numbers, all others strings."""
    with path.open(encoding="utf-8") as stream:
        header = [field.split(":") for field in stream.readline().rstrip("\r\n").split("\t")]
    schema = {name: pl.Float64 if kind == "float" else pl.String for name, kind in header}
    return pl.scan_csv(path, separator="\t", quote_char=None, has_header=False, skip_rows=1, schema=schema, glob=False)


def _latin(path: Path, separator: bytes, columns: list[str]) -> pl.LazyFrame:
    """Read a table in Latin-1 without a header. Every column is a string."""
    text = path.read_bytes().replace(separator, b"\t").decode("latin-1").encode()
    schema = dict.fromkeys(columns, pl.String)
    return pl.read_csv(BytesIO(text), separator="\t", has_header=False, quote_char=None, schema=schema).lazy()


def _year() -> pl.Expr:
    """Return the year at the end of a title, or null if there is none."""
    return pl.col("title").str.extract(r"\((\d{4})\)\s*$").cast(pl.Int64).alias("year")
