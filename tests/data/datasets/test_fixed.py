from __future__ import annotations

import torch

from recsys.data.datasets.loader import ListLoader
from recsys.types.context import Context
from recsys.types.jagged import Jagged


def test_every_epoch_is_the_same() -> None:
    batches = [Context(torch.tensor([user]), Jagged.empty(1), Jagged.empty(1)) for user in (3, 1)]
    loader = ListLoader(batches)
    assert len(loader) == 2
    assert list(loader) == list(loader) == batches
