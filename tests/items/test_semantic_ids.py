from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from recsys.errors import ConfigurationError, DataError
from recsys.items.semantic_ids import SemanticIds

CODES = torch.tensor([[2, 0], [0, 1], [2, 1]])


def test_both_ways_for_any_shape() -> None:
    ids = SemanticIds(CODES, sizes=(3, 2))
    items = torch.tensor([[2, 0], [1, 1]])
    assert ids.num_items == 3 and ids.depth == 2
    assert ids.encode(items).tolist() == [[[2, 1], [2, 0]], [[0, 1], [0, 1]]]
    assert torch.equal(ids.items(ids.encode(items)), items)
    assert ids.items(torch.tensor([[0, 0], [2, 2], [-1, 0]])).tolist() == [-1, -1, -1]


def test_fingerprint_sees_codes_order_and_sizes() -> None:
    ids = SemanticIds(CODES, sizes=(3, 2))
    assert ids.fingerprint == SemanticIds(CODES.to(torch.int32), sizes=(3, 2)).fingerprint
    others = [SemanticIds(CODES, (3, 3)), SemanticIds(CODES.flip(0), (3, 2)), SemanticIds(CODES[:2], (3, 2))]
    assert len({ids.fingerprint, *(other.fingerprint for other in others)}) == 4


def test_extend_keeps_the_old_and_grows_the_levels() -> None:
    ids = SemanticIds(CODES, sizes=(3, 2)).extend(torch.tensor([[0, 4]]))
    assert ids.sizes == (3, 5)
    assert torch.equal(ids.codes[:3], CODES) and ids.items(torch.tensor([0, 4])) == 3
    with pytest.raises(DataError, match=r"items 1 and 4 share the codes \[0, 1\]"):
        ids.extend(torch.tensor([[0, 1]]))


def test_saved_and_loaded(tmp_path: Path) -> None:
    ids = SemanticIds(CODES, sizes=(3, 2))
    ids.save(tmp_path / "ids.safetensors")
    loaded = SemanticIds.load(tmp_path / "ids.safetensors")
    assert loaded.fingerprint == ids.fingerprint and loaded.sizes == (3, 2)


def test_refuses_files_that_are_absent_damaged_or_changed(tmp_path: Path) -> None:
    path = tmp_path / "ids.safetensors"
    with pytest.raises(DataError, match="the semantic IDs cannot be read"):
        SemanticIds.load(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="the semantic IDs cannot be read"):
        SemanticIds.load(path)
    said = json.dumps({"sizes": [3, 2], "fingerprint": "0" * 64})
    save_file({"codes": CODES}, path, {"semantic_ids": said})
    with pytest.raises(DataError, match="do not have the fingerprint"):
        SemanticIds.load(path)


def test_refuses_codes_that_do_not_fit() -> None:
    with pytest.raises(DataError, match=r"item 0 has codes \[2, 0\], outside"):
        SemanticIds(CODES, sizes=(2, 2))
    with pytest.raises(DataError, match="outside"):
        SemanticIds(CODES - 1, sizes=(3, 2))
    with pytest.raises(DataError, match="items 0 and 2 share"):
        SemanticIds(CODES[[0, 1, 0]], sizes=(3, 2))
    with pytest.raises(ConfigurationError, match="one size a level"):
        SemanticIds(CODES, sizes=(3,))
    with pytest.raises(ConfigurationError, match=r"2\*\*63"):
        SemanticIds(CODES, sizes=(1 << 32, 1 << 32))
