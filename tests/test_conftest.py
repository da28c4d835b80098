from __future__ import annotations

import pytest
import torch

from recsys.report.cards import percent
from recsys.types.jagged import Jagged


def test_shapes_are_checked_at_run_time():
    with pytest.raises(Exception, match=r"Type-check error|type"):
        Jagged.from_lengths(torch.zeros(3), torch.zeros(2, 2, dtype=torch.int64))


def test_types_are_checked_at_run_time():
    with pytest.raises(Exception, match=r"Type-check error|type"):
        percent("0.5")


def test_an_integer_is_a_number():
    assert percent(1) == "100.0 %"


def test_seeds_are_fixed(generator):
    assert torch.initial_seed() == 0
    assert generator.initial_seed() == 0
