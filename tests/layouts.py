"""One log of slates in the layout of every data source: each function writes it into a folder and returns the source.

Files list their rows in the order in which they are given, or against it, and nothing that is read depends on it.
Sources of interactions have an event for each click.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys.data.sources.ebnerd import EbNerd
from recsys.data.sources.feedback_clicks import FeedbackClicks
from recsys.data.sources.finn import Finn
from recsys.data.sources.kuairand import KuaiRand
from recsys.data.sources.mind import Mind
from recsys.data.sources.movielens import MovieLens
from recsys.data.sources.parquet import ParquetExposures, ParquetSlates, ParquetTables
from recsys.data.sources.source import SlateSource, Source
from recsys.simulate.planted_groups import PlantedGroups
from recsys.simulate.simulated_slates import SimulatedSlates

Row = tuple[int, int, list[int], list[int]]
"""User, time, slate, clicks: positions in the slate. No user has two slates at one time."""

NO_POSITION = pl.List(pl.Int64)
GENRES = 19


def requests(rows: list[Row]) -> list[int]:
    """The number of each slate, which does not depend on the order of the rows."""
    order = sorted((user, time) for user, time, *_ in rows)
    return [order.index((user, time)) for user, time, *_ in rows]


def events(rows: list[Row]) -> pl.DataFrame:
    """One row a click: `user_id`, `item_id`, `timestamp`."""
    found = [(user, slate[click], time) for user, time, slate, clicks in rows for click in clicks]
    return pl.DataFrame(found, ["user_id", "item_id", "timestamp"], orient="row")


def parquet_tables(rows: list[Row], folder: Path) -> Source:
    clicked = events(rows)
    clicked.write_parquet(folder / "interactions.parquet")
    clicked.select("item_id").unique(maintain_order=True).write_parquet(folder / "items.parquet")
    clicked.select("user_id").unique(maintain_order=True).write_parquet(folder / "users.parquet")
    return ParquetTables(folder)


def feedback_clicks(rows: list[Row], folder: Path) -> Source:
    columns = {
        "user_id": [user for user, *_ in rows],
        "timestamp": [time for _, time, *_ in rows],
        "slate": [slate for *_, slate, _ in rows],
        "rewards": [[float(slot in clicks) for slot in range(len(slate))] for *_, slate, clicks in rows],
    }
    pl.DataFrame(columns).write_parquet(folder / "feedback.parquet")
    return FeedbackClicks(folder / "feedback.parquet")


def movielens_100k(rows: list[Row], folder: Path) -> Source:
    root, clicked = folder / "ml-100k", events(rows)
    root.mkdir(exist_ok=True)
    flags = "|".join("1" if genre == 5 else "0" for genre in range(GENRES))
    lines = {
        "u.data": [f"{user}\t{item}\t3\t{time}" for user, item, time in clicked.rows()],
        "u.item": [f"{item}|Film {item} (1995)|01-Jan-1995||http://x|{flags}" for item in of(clicked, "item_id")],
        "u.user": [f"{user}|49|M|writer|55105" for user in of(clicked, "user_id")],
    }
    return written(lines, root, MovieLens("100k", folder))


def movielens_1m(rows: list[Row], folder: Path) -> Source:
    root, clicked = folder / "ml-1m", events(rows)
    root.mkdir(exist_ok=True)
    lines = {
        "ratings.dat": [f"{user}::{item}::5::{time}" for user, item, time in clicked.rows()],
        "movies.dat": [f"{item}::Film {item} (1995)::Drama" for item in of(clicked, "item_id")],
        "users.dat": [f"{user}::F::1::10::48067" for user in of(clicked, "user_id")],
    }
    return written(lines, root, MovieLens("1m", folder))


def movielens_32m(rows: list[Row], folder: Path) -> Source:
    root, clicked = folder / "ml-32m", events(rows)
    root.mkdir(exist_ok=True)
    ratings = [f"{user},{item},4.5,{time}" for user, item, time in clicked.rows()]
    lines = {
        "ratings.csv": ["userId,movieId,rating,timestamp", *ratings],
        "movies.csv": [
            "movieId,title,genres",
            *(f"{item},Film {item} (1995),Drama" for item in of(clicked, "item_id")),
        ],
    }
    return written(lines, root, MovieLens("32m", folder))


def recbole_100k(rows: list[Row], folder: Path) -> Source:
    root, clicked = folder / "ml-100k", events(rows)
    root.mkdir(exist_ok=True)
    item_head = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"
    user_head = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"
    lines = {
        "ml-100k.inter": [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            *(f"{user}\t{item}\t3\t{time}" for user, item, time in clicked.rows()),
        ],
        "ml-100k.item": [item_head, *(f"{item}\tFilm {item}\t1995\tComedy" for item in of(clicked, "item_id"))],
        "ml-100k.user": [user_head, *(f"{user}\t49\tM\twriter\t55105" for user in of(clicked, "user_id"))],
    }
    return written(lines, root, MovieLens("100k", folder))


def recbole_1m(rows: list[Row], folder: Path) -> Source:
    root, clicked = folder / "ml-1m", events(rows)
    root.mkdir(exist_ok=True)
    item_head = "item_id:token\tmovie_title:token\trelease_year:float\tgenre:token"
    user_head = "user_id:token\tage:float\tgender:token\toccupation:float\tzip_code:token"
    lines = {
        "ml-1m.inter": [
            "user_id:token\titem_id:token\trating:float\ttimestamp:float",
            *(f"1m_{user}\tFilm {item} (1995)\t3\t{time}" for user, item, time in clicked.rows()),
        ],
        "ml-1m.item": [
            item_head,
            *(f"Film {item} (1995)\tFilm {item}\t1995\tComedy" for item in of(clicked, "item_id")),
        ],
        "ml-1m.user": [user_head, *(f"1m_{user}\t1\tF\t10\t48067" for user in of(clicked, "user_id"))],
    }
    return written(lines, root, MovieLens("1m", folder))


def of(clicked: pl.DataFrame, column: str) -> list[int]:
    """The distinct values in the order of the rows."""
    return clicked.get_column(column).unique(maintain_order=True).to_list()


def written(lines: dict[str, list[str]], root: Path, source: Source) -> Source:
    """The source, after its files were written."""
    for name, text in lines.items():
        (root / name).write_text("\n".join(text) + "\n")
    return source


def parquet_slates(rows: list[Row], folder: Path) -> SlateSource:
    frame = pl.DataFrame(rows, ["user_id", "timestamp", "slate", "clicks"], orient="row").cast({"clicks": NO_POSITION})
    numbered = frame.with_columns(pl.Series("request_id", requests(rows)))
    numbered.reverse().write_parquet(folder / "impressions.parquet")
    return ParquetSlates(folder)


def parquet_exposures(rows: list[Row], folder: Path) -> SlateSource:
    shown = [
        (request, user, item, time, slot in clicks)
        for request, (user, time, slate, clicks) in zip(requests(rows), rows, strict=True)
        for slot, item in enumerate(slate)
    ]
    columns = ["request_id", "user_id", "item_id", "timestamp", "click"]
    pl.DataFrame(shown, columns, orient="row").write_parquet(folder / "exposures.parquet")
    return ParquetExposures(folder, {"click": "binary"})


def ebnerd(rows: list[Row], folder: Path) -> SlateSource:
    frame = pl.DataFrame(
        {
            "impression_id": requests(rows),
            "user_id": [user for user, *_ in rows],
            "impression_time": [datetime.fromtimestamp(time, UTC).replace(tzinfo=None) for _, time, *_ in rows],
            "article_ids_inview": [slate for *_, slate, _ in rows],
            "article_ids_clicked": [[slate[click] for click in clicks] for *_, slate, clicks in rows],
        },
        schema_overrides={"article_ids_clicked": NO_POSITION},
    )
    frame.reverse().write_parquet(folder / "behaviors.parquet")
    return EbNerd(folder / "behaviors.parquet")


def mind(rows: list[Row], folder: Path) -> SlateSource:
    lines = []
    for number, (user, time, slate, clicks) in zip(requests(rows), rows, strict=True):
        when = datetime.fromtimestamp(time, UTC).strftime("%m/%d/%Y %I:%M:%S %p")
        shown = " ".join(f"N{item:02}-{int(slot in clicks)}" for slot, item in enumerate(slate))
        lines.append(f"{number}\tU{user}\t{when}\tN1\t{shown}\n")
    (folder / "behaviors.tsv").write_text("".join(reversed(lines)))
    return Mind(folder)


def kuairand(rows: list[Row], folder: Path) -> SlateSource:
    shown: list[dict[str, Any]] = [
        {"user_id": user, "video_id": item, "time_ms": 1000 * time, "is_click": int(slot in clicks)}
        for user, time, slate, clicks in rows
        for slot, item in enumerate(slate)
    ]
    pl.DataFrame(shown).reverse().write_csv(folder / "log_standard_4_22_to_5_08_pure.csv")
    return KuaiRand(folder)


def finn(rows: list[Row], folder: Path) -> SlateSource:
    """The arrays have one row a user; its steps are in the order of time."""
    users = list(dict.fromkeys(user for user, *_ in rows))
    arrays = {name: np.zeros((len(users), 8), dtype=int) for name in ("click", "click_idx", "slate_lengths")}
    slates = np.zeros((len(users), 8, 7), dtype=int)
    steps = dict.fromkeys(users, 0)
    for user, _, slate, clicks in sorted(rows, key=lambda row: row[1]):
        at = (users.index(user), steps[user])
        slates[at][: len(slate) + 2] = [1, 2, *slate]  # an unpublished item before all others
        arrays["slate_lengths"][at] = len(slate) + 2
        arrays["click"][at] = slate[clicks[0]] if clicks else 1
        arrays["click_idx"][at] = clicks[0] + 2 if clicks else 0
        steps[user] += 1
    kind = np.ones((len(users), 8), dtype=int)
    np.savez(folder / "data.npz", userId=np.array(users), slate=slates, interaction_type=kind, **arrays)
    np.savez(folder / "itemattr.npz", category=np.zeros(13))
    return Finn(folder)


def simulated_slates(rows: list[Row], folder: Path) -> SlateSource:
    """It reads no file: as many users and slates as the rows have, of a seed that depends on what they hold."""
    users = len({user for user, *_ in rows})
    simulator = PlantedGroups(num_items=8, groups=2, width=3, steps=len(rows) // users)
    return SimulatedSlates(simulator, users, shortest=2, longest=4, seed=sum(sum(slate) for *_, slate, _ in rows))
