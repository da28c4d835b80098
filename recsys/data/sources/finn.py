"""Read FINN.no: slates of a Norwegian marketplace, from search and recommendation, with at most one click each.

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
from typing_extensions import override

from recsys.data.sources.source import SlateSource, SlateTables
from recsys.data.tables.download import sha256
from recsys.errors import DataError
from recsys.ranges import at_least

NO_CLICK, UNKNOWN, FIRST_ITEM = 1, 2, 3
"""Special item ids. 0 is padding, 1 means "no click", 2 is an item that was not published; other ids are items."""

LAYOUTS = (
    {"user": "userId", "click": "click", "index": "click_idx", "slate": "slate", "length": "slate_lengths",
     "source": "interaction_type"},
    {"user": "userId", "click": "click", "index": "click_idx", "slate": "action", "length": "lengths",
     "source": "displayType"},
)  # fmt: skip
"""Names of the arrays: as published since version 1.1, and before it."""

BLOCK = 20_000
"""Number of users whose slates are unpacked at once."""

HOME = "huggingface.co/datasets/simeneide/recsys_slates_dataset"


@dataclass(frozen=True)
class Finn(SlateSource):
    """The FINN.no arrays as canonical tables: 2.3 million users, 20 steps each, slates of up to 24 items.

    Slot 0 of a published slate means "no click" and is removed. Padding, items that were not published and repeated
    items are removed too; positions of clicks are adjusted. A step is dropped and counted in either of these cases:

    - its click is on padding, on an item that was not published, or beyond the last published slot (the file then has
      click index 0 and the id of an item);
    - no item is left in its slate.

    The release has no times: `timestamp` is the step, from 0, and `SlateTables.timed` is False.

    Args:
        root: folder with `data.npz` and `itemattr.npz`, which holds the items' groups (category and region).
        users: number of users to read, from the beginning of the file; None reads all, which takes about 30 GB of
            memory (extrapolated).
    """

    root: str | Path = "data/raw/finn"
    users: int | None = None

    def __post_init__(self) -> None:
        at_least(1, users=self.users)

    @override
    def slates(self) -> SlateTables:
        """Return impressions (with `source`) and items (with `category`, their group)."""
        files = [Path(self.root) / name for name in ("data.npz", "itemattr.npz")]
        missing = [str(file) for file in files if not file.exists()]
        if missing:
            raise DataError(
                f"{', '.join(missing)}: no such file; expected the arrays of the FINN.no slates. Download data.npz"
                f" (1.3 GB) and itemattr.npz from {HOME} into {self.root}"
            )
        arrays = {name: array[: self.users] for name, array in _arrays(files[0]).items()}
        dropped: Counter[str] = Counter()
        impressions = pl.concat(list(_blocks(arrays, files[0], dropped)))
        if not len(impressions):
            raise DataError(
                f"{files[0]}: no step has both a known click and an item; expected a log of slates. Check it"
            )
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
        raise DataError(f"{file} cannot be read: {problem}. It is damaged or truncated; download it again") from problem


def _arrays(file: Path) -> dict[str, Integer[np.ndarray, "..."]]:
    """Read the arrays, check their shapes and types, and return them under the keys of `LAYOUTS`."""
    stored = _load(file)
    layout = next((layout for layout in LAYOUTS if layout["slate"] in stored), LAYOUTS[0])
    missing = [name for name in layout.values() if name not in stored]
    if missing:
        raise DataError(
            f"{file}: array {missing[0]!r} is missing; found {', '.join(stored)}; expected"
            f" {', '.join(layout.values())}. Download the file from {HOME}"
        )
    arrays = {ours: stored[theirs] for ours, theirs in layout.items()}
    steps = arrays["slate"].shape[:2]
    shapes = dict.fromkeys(("click", "index", "length", "source"), steps) | {"user": steps[:1]}
    for ours, theirs in layout.items():
        array = arrays[ours]
        if not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"{file}: array {theirs!r} holds {array.dtype}, expected integers. Cast it")
        if array.ndim != 3 if ours == "slate" else array.shape != shapes[ours]:
            expected = "users × steps × slots" if ours == "slate" else shapes[ours]
            raise DataError(
                f"{file}: array {theirs!r} has shape {array.shape}, expected {expected}. Download the file again"
            )
    if len(np.unique(arrays["user"])) != len(arrays["user"]):
        raise DataError(f"{file}: array 'userId' names a user twice, expected one row a user. Keep one row of each")
    return arrays


def _blocks(arrays: dict[str, Integer[np.ndarray, "..."]], file: Path, dropped: Counter[str]) -> Iterator[pl.DataFrame]:
    """Yield the impressions of one block of users after the other; add the numbers of dropped steps to `dropped`."""
    users, steps, _ = arrays["slate"].shape
    for start in range(0, users, BLOCK):
        block = {name: array[start : start + BLOCK] for name, array in arrays.items()}
        real = block["length"] > 0
        where = np.argwhere(real) + np.array([start, 0])
        flat = {name: block[name][real] for name in ("slate", "click", "index", "length", "source")}
        _check(flat, where, file)
        items, masked = flat["slate"] >= FIRST_ITEM, _masked(flat)
        keep = items & ~_repeated(flat["slate"])
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
    """Raise an error unless slot 0 means "no click" and the slot at the click's index holds the clicked item."""
    slate, click, index = flat["slate"], flat["click"], flat["index"]
    outside = (index < 0) | (index >= slate.shape[1])
    at_index = np.take_along_axis(slate, np.where(outside, 0, index)[:, None], axis=1)[:, 0]
    other = (click == NO_CLICK) | ((click >= FIRST_ITEM) & (index != 0))
    for broken, text in (
        (slate[:, 0] != NO_CLICK, f"slot 0 of the slate is not {NO_CLICK}, which means no click"),
        (outside, f"the click's index is not in 0 … {slate.shape[1] - 1}"),
        (other & (at_index != click), "the slot at the click's index does not hold the clicked item"),
    ):
        if broken.any():
            user, step = where[broken.argmax()]
            raise DataError(f"{file}, user row {user}, step {step} (from 0): {text}. Download the file from {HOME}")


def _repeated(slate: Integer[np.ndarray, "R W"]) -> Bool[np.ndarray, "R W"]:
    """Return a mask of the slots whose item occurs in an earlier slot of the same slate.

    >>> _repeated(np.array([[5, 4, 5, 4, 3]]))
    array([[False, False,  True,  True, False]])
    """
    order = np.argsort(slate, axis=1, kind="stable")
    ranked = np.take_along_axis(slate, order, axis=1)
    repeated = np.zeros(slate.shape, dtype=bool)
    np.put_along_axis(repeated, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], axis=1)
    return repeated


def _masked(flat: dict[str, np.ndarray]) -> Bool[np.ndarray, " R"]:
    """Return a mask of the steps whose click is not on a published slot."""
    click = flat["click"]
    behind = (click >= FIRST_ITEM) & (flat["index"] == 0)
    return (click == UNKNOWN) | (click < NO_CLICK) | behind


def _impressions(flat: dict[str, np.ndarray], keep: Bool[np.ndarray, "R W"]) -> pl.DataFrame:
    """Return `slate`, `clicks` and `source` of steps that have items and a known click."""
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
    """Return `item_id` and `category` of each published item."""
    stored = _load(file)
    if "category" not in stored:
        raise DataError(f"{file}: array 'category' is missing; found {', '.join(stored)}. Download it from {HOME}")
    category = stored["category"][FIRST_ITEM:].astype(np.int64)
    return pl.DataFrame({"item_id": np.arange(FIRST_ITEM, FIRST_ITEM + len(category)), "category": category})
