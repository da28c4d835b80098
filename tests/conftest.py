"""What every test starts from: shapes and types checked at run time, one thread, fixed seeds."""

from __future__ import annotations

import gc
import random
import signal
from collections.abc import Iterator
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook

from tests.shape_checks import checked

gc.disable()  # until everything is imported: what is then there is not looked through again

jaxtyping.jaxtyped = checked  # what the hook decorates with
install_import_hook("recsys", "tests.shape_checks.typechecker")

torch.set_num_threads(1)

settings.register_profile("recsys", deadline=None, derandomize=True, database=None)
settings.load_profile("recsys")


def pytest_collection_finish(session: Any) -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Give Ctrl-C back to the tests after a training that was interrupted: Lightning goes deaf to it."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)
