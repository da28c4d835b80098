from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from recsys.metrics.ranking import rank_in_scores
from recsys.policies.baselines.oracle import OracleContext
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


def test_sizes_are_shared_by_arguments_and_results():
    with pytest.raises(TypeCheckError) as raised:
        rank_in_scores(torch.zeros(2, 5), torch.zeros(3, dtype=torch.int64))
    assert "B=2" in raised.value.__notes__[0]


def test_records_check_the_fields_they_inherit():
    with pytest.raises(TypeCheckError):
        OracleContext(users=[0], history=Jagged.empty(1), excluded=Jagged.empty(1), true_scores=torch.zeros(1, 2))
