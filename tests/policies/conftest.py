from __future__ import annotations

import pytest
import torch

from recsys.types.context import Context
from tests.policies.contexts import requests


@pytest.fixture
def train() -> Context:
    """Twelve items and forty histories of unlike lengths, one of them empty."""
    generator = torch.Generator().manual_seed(1)
    lengths = torch.randint(1, 9, (39,), generator=generator).tolist()
    return requests([torch.randint(0, 11, (length,), generator=generator).tolist() for length in lengths] + [[]])
