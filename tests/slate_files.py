"""Small files in the exact layouts of public slate data."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl


def write_finn(folder: Path, users: int = 50, steps: int = 20, slots: int = 25, items: int = 60) -> Path:
    """`data.npz` and `itemattr.npz`: padding is 0, no click is item 1 at slot 0, 2 stands for unpublished items."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    length = random.integers(6, slots + 1, (users, steps))
    slate = np.stack([random.permutation(items)[: slots - 1] + 3 for _ in range(users * steps)])
    slate = np.concatenate([np.ones((users * steps, 1), np.int64), slate], 1).reshape(users, steps, slots)
    slate[np.arange(slots) >= length[..., None]] = 0
    slate[:, :, 3][random.random((users, steps)) < 0.1] = 2
    index = random.integers(0, 6, (users, steps))
    click = np.take_along_axis(slate, index[..., None], 2)[..., 0]
    np.savez_compressed(
        folder / "data.npz",
        userId=np.arange(users) + 1000,
        click=click,
        click_idx=index,
        slate_lengths=length,
        slate=slate,
        interaction_type=random.integers(1, 3, (users, steps)),
    )
    np.savez_compressed(folder / "itemattr.npz", category=np.arange(items + 3) % 7)
    return folder


def write_ebnerd(folder: Path, users: int = 20, rows: int = 200, articles: int = 40) -> Path:
    """`behaviors.parquet` of the release."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    shown = [random.permutation(articles)[: random.integers(4, 12)].tolist() for _ in range(rows)]
    frame = pl.DataFrame(
        {
            "impression_id": range(rows),
            "user_id": random.integers(0, users, rows),
            "impression_time": [datetime(2023, 5, 1) + timedelta(minutes=17 * row) for row in range(rows)],
            "article_ids_inview": shown,
            "article_ids_clicked": [[slate[random.integers(len(slate))]] for slate in shown],
        }
    )
    frame.write_parquet(folder / "behaviors.parquet")
    return folder


def write_impressions(folder: Path) -> Path:
    """Canonical `impressions` and `items`."""
    rows = pl.read_parquet(write_ebnerd(folder / "behaviors") / "behaviors.parquet")
    place = pl.struct("article_ids_inview", "article_ids_clicked").map_elements(
        lambda row: [row["article_ids_inview"].index(row["article_ids_clicked"][0])], return_dtype=pl.List(pl.Int64)
    )
    rows.select(
        pl.col("impression_id").alias("request_id"),
        "user_id",
        pl.col("impression_time").alias("timestamp"),
        pl.col("article_ids_inview").alias("slate"),
        place.alias("clicks"),
    ).write_parquet(folder / "impressions.parquet")
    pl.DataFrame({"item_id": range(40), "kind": ["a", "b"] * 20}).write_parquet(folder / "items.parquet")
    return folder


def write_exposures(folder: Path) -> Path:
    """Canonical `exposures`: each slot of EB-NeRD's slates a row."""
    rows = pl.read_parquet(write_ebnerd(folder / "behaviors") / "behaviors.parquet")
    shown = rows.explode("article_ids_inview").select(
        "user_id",
        pl.col("article_ids_inview").alias("item_id"),
        pl.col("impression_time").alias("timestamp"),
        pl.col("impression_id").alias("request_id"),
        pl.col("article_ids_clicked").list.contains(pl.col("article_ids_inview")).alias("click"),
        (pl.col("article_ids_inview") / 7).alias("watch_time"),
    )
    shown.write_parquet(folder / "exposures.parquet")
    return folder


def write_kuairand(folder: Path) -> Path:
    """KuaiRand's exposures, of the same slates, with two kinds of feedback."""
    shown = pl.read_parquet(write_exposures(folder) / "exposures.parquet")
    shown.select(
        "user_id",
        pl.col("item_id").alias("video_id"),
        pl.col("timestamp").dt.epoch("ms").alias("time_ms"),
        pl.col("click").cast(pl.Int64).alias("is_click"),
        (1000 * pl.col("watch_time")).cast(pl.Int64).alias("play_time_ms"),
    ).write_csv(folder / "log_standard_4_22_to_5_08_pure.csv")
    return folder


def write_mind(folder: Path) -> Path:
    """MIND's behaviours, of the same slates."""
    lines = []
    for row in pl.read_parquet(write_ebnerd(folder) / "behaviors.parquet").iter_rows(named=True):
        shown = " ".join(f"N{item}-{int(item in row['article_ids_clicked'])}" for item in row["article_ids_inview"])
        when = row["impression_time"].strftime("%m/%d/%Y %I:%M:%S %p")
        lines.append(f"{row['impression_id']}\tU{row['user_id']}\t{when}\t\t{shown}\n")
    (folder / "behaviors.tsv").write_text("".join(lines))
    return folder
