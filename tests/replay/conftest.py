from __future__ import annotations

import pytest
import torch

from recsys.replay.actions.batch import BanditBatch


@pytest.fixture
def four_rounds() -> BanditBatch:
    """Weights ½, 2, 1 and 4."""
    logging_all = torch.tensor([[0.8, 0.2], [0.75, 0.25], [0.4, 0.6], [0.8, 0.2]], dtype=torch.float64)
    target_all = torch.tensor([[0.4, 0.6], [0.5, 0.5], [0.4, 0.6], [0.2, 0.8]], dtype=torch.float64)
    action = torch.tensor([0, 1, 1, 1])
    return BanditBatch(
        action,
        torch.tensor([1.0, 0.0, 3.0, 2.0], dtype=torch.float64),
        logging_all.gather(1, action.unsqueeze(1)).squeeze(1),
        target_all.gather(1, action.unsqueeze(1)).squeeze(1),
        user=torch.tensor([0, 1, 0, 2]),
        logging_all=logging_all,
        target_all=target_all,
        predicted_all=torch.tensor([[1.0, 2.0], [0.0, 1.0], [2.0, 1.0], [1.0, 1.5]], dtype=torch.float64),
    )
