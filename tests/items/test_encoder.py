from __future__ import annotations

import polars as pl
import torch

from recsys.items.cooccurrence import PpmiSvd
from recsys.items.encoder import ConcatenatedEncoder, ItemEncoder
from recsys.items.text_encoders import TfidfText
from recsys.types.jagged import Jagged


def test_vectors_stand_side_by_side() -> None:
    table, histories = pl.DataFrame({"title": ["red", "red", "blue"]}), Jagged.from_rows([[0, 1], [2, 0]])
    parts: list[ItemEncoder] = [PpmiSvd(dimensions=2), TfidfText(dimensions=3)]
    both = ConcatenatedEncoder(parts).encode(table, histories, 3, torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    expected = [part.encode(table, histories, 3, generator) for part in parts]
    assert torch.equal(both, torch.cat(expected, -1)) and both.shape == (3, 5)
    assert isinstance(ConcatenatedEncoder(parts), ItemEncoder)
