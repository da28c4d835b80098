from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import torch

from recsys.errors import ConfigurationError, DataError, RequestError
from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.bundle import ItemBundle
from recsys.items.collisions import ExtraCode, NextBest
from recsys.items.semantic_ids import SemanticIds

QUANTIZER = BalancedKMeans(levels=1, codes=4)
VECTORS = torch.randn(10, 3, generator=torch.Generator().manual_seed(0))
CODES = QUANTIZER.fit_encode(VECTORS, torch.Generator().manual_seed(0))
TABLE = pl.DataFrame(
    {"item": range(10), "item_id": [f"film-{i}" for i in range(10)], "title": ["x"] * 10, "interactions": range(10)}
)


@pytest.fixture
def bundle() -> ItemBundle:
    return ItemBundle(TABLE, SemanticIds(*ExtraCode().resolve(CODES, QUANTIZER, VECTORS)), VECTORS)


def test_saved_and_loaded(bundle: ItemBundle, tmp_path: Path) -> None:
    bundle.save(tmp_path / "runs" / "items")
    bundle.save(tmp_path / "runs" / "items")
    loaded = ItemBundle.load(tmp_path / "runs" / "items")
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["items"]
    assert loaded.table.equals(bundle.table) and torch.equal(loaded.vectors, bundle.vectors)
    assert loaded.fingerprint == bundle.fingerprint and loaded.trained is None
    assert torch.equal(loaded.trie().leaf_item, bundle.trie().leaf_item)


def test_refuses_folders_that_are_absent_damaged_or_mixed(bundle: ItemBundle, tmp_path: Path) -> None:
    folder = tmp_path / "items"
    with pytest.raises(DataError, match="the item bundle cannot be read"):
        ItemBundle.load(folder)
    bundle.save(folder)
    bundle.table.with_columns(item_id=bundle.table["item_id"].reverse()).write_parquet(folder / "items.parquet")
    with pytest.raises(DataError, match=r"items\.parquet is damaged: .*make the bundle again"):
        ItemBundle.load(folder)
    (folder / "items.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"is damaged|is gone|the item bundle cannot be read"):
        ItemBundle.load(folder)


def test_check_accepts_only_its_own_fingerprint(bundle: ItemBundle) -> None:
    bundle.check(bundle.fingerprint)
    renamed = ItemBundle(TABLE.with_columns(item_id=TABLE["item_id"] + "!"), bundle.semantic_ids, VECTORS)
    with pytest.raises(RequestError, match="Load the item bundle that was saved beside the weights"):
        bundle.check(renamed.fingerprint)


def test_new_items_join_without_moving_the_old(bundle: ItemBundle, tmp_path: Path) -> None:
    rows = pl.DataFrame({"item_id": ["new-a", "new-b"], "year": [2026, 2027]})
    grown = bundle.with_new_items(rows, VECTORS[[3, 3]], QUANTIZER)
    ids = grown.semantic_ids
    assert torch.equal(ids.codes[:10], bundle.semantic_ids.codes)
    assert ids.codes[10:, 0].tolist() == [CODES[3, 0]] * 2
    assert torch.equal(ids.items(ids.codes), torch.arange(12))
    assert grown.table["item"].to_list() == list(range(12))
    assert grown.table.row(11, named=True) == {
        "item": 11,
        "item_id": "new-b",
        "title": None,
        "interactions": 0,
        "year": 2027,
    }
    again = grown.with_new_items(pl.DataFrame({"item_id": ["new-c"]}), VECTORS[[5]], QUANTIZER)
    again.save(tmp_path / "items")
    ItemBundle.load(tmp_path / "items").check(bundle.fingerprint)
    with pytest.raises(RequestError):
        bundle.check(again.fingerprint)


def test_new_items_must_fit(bundle: ItemBundle) -> None:
    with pytest.raises(DataError, match="'film-3' occurs in more than one row"):
        bundle.with_new_items(pl.DataFrame({"item_id": ["film-3"]}), VECTORS[:1], QUANTIZER)
    with pytest.raises(DataError, match="a column item_id of type String"):
        bundle.with_new_items(pl.DataFrame({"item_id": [3]}), VECTORS[:1], QUANTIZER)
    with pytest.raises(DataError, match="one row of 3 numbers an item"):
        bundle.with_new_items(pl.DataFrame({"item_id": ["new"]}), VECTORS[:2], QUANTIZER)
    with pytest.raises(ConfigurationError, match="beside items of 2"):
        bundle.with_new_items(pl.DataFrame({"item_id": ["new"]}), VECTORS[:1], QUANTIZER, NextBest())


def test_parts_must_speak_of_the_same_items(bundle: ItemBundle) -> None:
    with pytest.raises(DataError, match="must have the same"):
        ItemBundle(TABLE, bundle.semantic_ids, VECTORS[:9])
    with pytest.raises(DataError, match=r"no column \['item_id'\]"):
        ItemBundle(TABLE.drop("item_id"), bundle.semantic_ids, VECTORS)
    with pytest.raises(DataError, match="in this order"):
        ItemBundle(TABLE.reverse(), bundle.semantic_ids, VECTORS)


def test_integer_ids_are_ids_too(bundle: ItemBundle) -> None:
    numbered = ItemBundle(TABLE.with_columns(item_id=pl.int_range(100, 110)), bundle.semantic_ids, VECTORS)
    assert json.dumps(numbered.table["item_id"].to_list()).startswith("[100, 101")
    assert numbered.fingerprint != bundle.fingerprint
