"""FINN.no: slates of a Norwegian marketplace, from search and from recommendation, with and without a click.

Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson sampling",
and github.com/finn-no/recsys_slates_dataset.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Integer

from recsys.data.sources.source import SlateTables
from recsys.data.tables.download import sha256
from recsys.errors import DataError

NO_CLICK, UNKNOWN, FIRST_ITEM = 1, 2, 3
"""What the ids mean: 0 pads, 1 stands for no click, 2 for an item that was not published, items follow."""

LAYOUTS = (
    {"user": "userId", "click": "click", "index": "click_idx", "slate": "slate", "length": "slate_lengths",
     "source": "interaction_type"},
    {"user": "userId", "click": "click", "index": "click_idx", "slate": "action", "length": "lengths",
     "source": "displayType"},
)  # fmt: skip
"""Names of the arrays, as published since version 1.1 and before."""

BLOCK = 20_000
"""Users whose slates are unpacked at once."""

HOME = "huggingface.co/datasets/simeneide/recsys_slates_dataset"


@dataclass(frozen=True)
class Finn:
    """The FINN.no arrays as canonical tables: 2.3 million users, 20 steps each, slates of up to 24 items.

    Slot 0 of a published slate stands for no click; here it is no slot. Padding, items that were not published and
    second places of an item are taken out of the slates, and clicks follow the items that move up. A step is dropped,
    and counted, when its click is on padding, on an item that was not published or behind the last published slot, or
    when no item is left. A click behind the last slot is known by its index 0 beside the id of an item.

    The release has no times: `timestamp` is the step, from 0, and the tables say that they are not timed.

    Args:
        root: folder with `data.npz` and, for the items' groups (category and region), `itemattr.npz`.
        users: how many of the file's first users are read; None reads all, some 30 GB by extrapolation.
    """

    root: str | Path = "data/raw/finn"
    users: int | None = None

    def slates(self) -> SlateTables:
        """Impressions (with `source`) and items (with `category`, their group)."""
        files = [Path(self.root) / name for name in ("data.npz", "itemattr.npz")]
        missing = [str(file) for file in files if not file.exists()]
        if missing:
            raise DataError(
                f"{', '.join(missing)}: no such file; expected the arrays of the FINN.no slates: fetch data.npz"
                f" (1.3 GB) and itemattr.npz from {HOME} into {self.root}"
            )
        arrays = {name: array[: self.users] for name, array in _arrays(files[0]).items()}
        dropped: Counter[str] = Counter()
        impressions = pl.concat(list(_blocks(arrays, files[0], dropped)))
        if not len(impressions):
            raise DataError(f"{files[0]}: no step has both a known click and an item; expected a log of slates")
        return SlateTables(
            impressions=impressions.lazy(),
            name="finn",
            fingerprint=hashlib.sha256(" ".join([*map(sha256, files), str(self.users)]).encode()).hexdigest(),
            items=_items(files[1]).lazy(),
            group="category",
            timed=False,
            dropped=dict(dropped),
        )


def _load(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file) as stored:
            return {name: stored[name] for name in stored.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as problem:
        raise DataError(f"{file} cannot be read: {problem}; it is damaged or cut short: fetch it again") from problem


def _arrays(file: Path) -> dict[str, Integer[np.ndarray, ...]]:
    """The arrays under the names that `LAYOUTS` gives them, their shapes and types checked."""
    stored = _load(file)
    layout = next((layout for layout in LAYOUTS if layout["slate"] in stored), LAYOUTS[0])
    missing = [name for name in layout.values() if name not in stored]
    if missing:
        raise DataError(
            f"{file}: array {missing[0]!r} is missing; found {', '.join(stored)}; expected"
            f" {', '.join(layout.values())}: fetch the file from {HOME}"
        )
    arrays = {ours: stored[theirs] for ours, theirs in layout.items()}
    steps = arrays["slate"].shape[:2]
    shapes = dict.fromkeys(("click", "index", "length", "source"), steps) | {"user": steps[:1]}
    for ours, theirs in layout.items():
        array = arrays[ours]
        if not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"{file}: array {theirs!r} holds {array.dtype}, expected integers: cast it")
        if array.ndim != 3 if ours == "slate" else array.shape != shapes[ours]:
            expected = "users × steps × slots" if ours == "slate" else shapes[ours]
            raise DataError(f"{file}: array {theirs!r} has shape {array.shape}, expected {expected}: fetch it again")
    if len(np.unique(arrays["user"])) != len(arrays["user"]):
        raise DataError(f"{file}: array 'userId' names a user twice, expected a row a user: keep one row for each")
    return arrays


def _blocks(arrays: dict[str, Integer[np.ndarray, ...]], file: Path, dropped: Counter[str]) -> Iterator[pl.DataFrame]:
    """The impressions of a block of users after another; what is left out is added to `dropped`."""
    users, steps, _ = arrays["slate"].shape
    for start in range(0, users, BLOCK):
        block = {name: array[start : start + BLOCK] for name, array in arrays.items()}
        real = block["length"] > 0
        where = np.argwhere(real) + np.array([start, 0])
        flat = {name: block[name][real] for name in ("slate", "click", "index", "length", "source")}
        _check(flat, where, file)
        items, masked = flat["slate"] >= FIRST_ITEM, _masked(flat)
        keep = items & ~_again(flat["slate"])
        empty = ~masked & ~keep.any(-1)
        dropped["impressions_with_unknown_click"] += int(masked.sum())
        dropped["impressions_without_items"] += int(empty.sum())
        rows = ~masked & ~empty
        dropped["repeated_slots"] += int((items & ~keep)[rows].sum())
        user, step = where[rows].T
        yield _impressions({name: array[rows] for name, array in flat.items()}, keep[rows]).with_columns(
            pl.Series("request_id", user * steps + step),
            pl.Series("user_id", arrays["user"][user].astype(np.int64)),
            pl.Series("timestamp", step),
        )


def _check(flat: dict[str, np.ndarray], where: Integer[np.ndarray, "R two"], file: Path) -> None:
    """Slot 0 stands for no click, and the slot that the click's index names holds the click."""
    slate, click, index = flat["slate"], flat["click"], flat["index"]
    outside = (index < 0) | (index >= slate.shape[1])
    at_index = np.take_along_axis(slate, np.where(outside, 0, index)[:, None], axis=1)[:, 0]
    other = (click == NO_CLICK) | ((click >= FIRST_ITEM) & (index != 0))
    for broken, text in (
        (slate[:, 0] != NO_CLICK, f"slot 0 of the slate is not {NO_CLICK}, which stands for no click"),
        (outside, f"the click's index is not in 0 … {slate.shape[1] - 1}"),
        (other & (at_index != click), "the slot that the click's index names does not hold the click"),
    ):
        if broken.any():
            user, step = where[broken.argmax()]
            raise DataError(f"{file}, user row {user}, step {step} (from 0): {text}; fetch the file from {HOME}")


def _again(slate: Integer[np.ndarray, "R W"]) -> Bool[np.ndarray, "R W"]:
    """The slots whose item stands in an earlier slot of the slate.

    >>> _again(np.array([[5, 4, 5, 4, 3]]))
    array([[False, False,  True,  True, False]])
    """
    order = np.argsort(slate, axis=1, kind="stable")
    ranked = np.take_along_axis(slate, order, axis=1)
    again = np.zeros(slate.shape, dtype=bool)
    np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
    return again


def _masked(flat: dict[str, np.ndarray]) -> Bool[np.ndarray, " R"]:
    """The steps whose click is not on a published slot."""
    click = flat["click"]
    behind = (click >= FIRST_ITEM) & (flat["index"] == 0)
    return (click == UNKNOWN) | (click < NO_CLICK) | behind


def _impressions(flat: dict[str, np.ndarray], keep: Bool[np.ndarray, "R W"]) -> pl.DataFrame:
    """`slate`, `clicks` and `source` of steps with items and a known click."""
    slate, click = flat["slate"], flat["click"]
    slot = ((slate == click[:, None]) & keep).argmax(1)
    moved = np.take_along_axis(keep.cumsum(1) - 1, slot[:, None], axis=1)[:, 0]
    rows, _ = keep.nonzero()
    items = pl.DataFrame({"row": rows, "slate": slate[keep].astype(np.int64)})
    sources = pl.Series([None, "search", "recommendation"], dtype=pl.String)
    known = np.where((flat["source"] > 0) & (flat["source"] < len(sources)), flat["source"], 0)
    return (
        items.group_by("row", maintain_order=True)
        .agg("slate")
        .select(
            "slate",
            pl.when(pl.Series(click >= FIRST_ITEM))
            .then(pl.concat_list(pl.Series(moved.astype(np.int64))))
            .otherwise(pl.lit([], dtype=pl.List(pl.Int64)))
            .alias("clicks"),
            sources.gather(known).alias("source"),
        )
    )


def _items(file: Path) -> pl.DataFrame:
    """`item_id` and `category` of each published item."""
    stored = _load(file)
    if "category" not in stored:
        raise DataError(f"{file}: array 'category' is missing; found {', '.join(stored)}: fetch the file from {HOME}")
    category = stored["category"][FIRST_ITEM:].astype(np.int64)
    return pl.DataFrame({"item_id": np.arange(FIRST_ITEM, FIRST_ITEM + len(category)), "category": category})
