from __future__ import annotations

import torch

from recsys.data.context import Context
from recsys.data.fixed import Fixed
from recsys.data.jagged import Jagged


def test_every_epoch_is_the_same() -> None:
    batches = [Context(torch.tensor([user]), Jagged.empty(1), Jagged.empty(1)) for user in (3, 1)]
    loader = Fixed(batches)
    assert len(loader) == 2
    assert list(loader) == list(loader) == batches
