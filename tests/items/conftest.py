"""A catalogue whose codes are known: planted centres, well apart at every level."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor


@pytest.fixture
def planted() -> tuple[Float[Tensor, "N D"], Int[Tensor, "N L"]]:
    """256 vectors in 8 clusters of 4 clusters of 8, shuffled, and the cluster of each at both levels."""
    generator = torch.Generator().manual_seed(7)
    coarse = 8 * torch.eye(16)[:8]
    fine = 1.5 * torch.eye(16)[8:12]
    codes = torch.cartesian_prod(torch.arange(8), torch.arange(4), torch.arange(8))[:, :2]
    codes = codes[torch.randperm(len(codes), generator=generator)]
    noise = 0.05 * torch.randn(len(codes), 16, generator=generator)
    return coarse[codes[:, 0]] + fine[codes[:, 1]] + noise, codes
