from __future__ import annotations

from pathlib import Path

import polars as pl
import torch

from recsys.data.prepared import Prepared
from recsys.data.split import Splits


def test_load_gives_what_was_saved(tmp_path: Path) -> None:
    prepared = Prepared(
        name="tiny",
        events=pl.DataFrame({"user": [0, 0, 0, 1], "item": [1, 0, 2, 2]}).cast(pl.UInt32),
        items=pl.DataFrame({"item": [0, 1, 2], "item_id": ["a", "b", "c"], "tags": [["x"], [], None]}),
        users=pl.DataFrame({"user": [0, 1], "user_id": [7, 9]}),
        splits=Splits(torch.tensor([1, 1]), torch.tensor([1]), torch.tensor([2])),
        repeats=False,
        fingerprint="f",
        summary={"events": 4, "repeat_share": 0.0},
    )
    prepared.save(tmp_path)
    loaded = Prepared.load(tmp_path)
    for table in ("events", "items", "users"):
        assert getattr(loaded, table).equals(getattr(prepared, table))
    for part in ("train_lengths", "validation", "test"):
        assert torch.equal(getattr(loaded.splits, part), getattr(prepared.splits, part))
    assert (loaded.name, loaded.repeats, loaded.fingerprint, loaded.summary) == ("tiny", False, "f", prepared.summary)
    dataset = loaded.dataset()
    assert dataset.test.history.values.tolist() == [1, 0]
    assert dataset.items.get_column("interactions").to_list() == [0, 1, 1]
