"""What every test starts from: shapes and types checked at run time, one thread, fixed seeds."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("recsys", "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

torch.set_num_threads(1)

settings.register_profile("recsys", deadline=None, derandomize=True, database=None)
settings.load_profile("recsys")


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
