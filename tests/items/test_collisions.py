from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.items.collisions import ExtraCode, NextBest
from recsys.items.residual_quantizer import FaissClusterer, ResidualQuantizer

LINE = torch.arange(4.0).view(1, 4, 1)


@pytest.fixture
def line() -> ResidualQuantizer:
    """One level whose codewords are the numbers 0 to 3."""
    quantizer = ResidualQuantizer(FaissClusterer(), levels=1, codes=4)
    quantizer.codebooks = LINE.double()
    return quantizer


@pytest.fixture
def two_levels() -> ResidualQuantizer:
    """Codewords 0, 10, 20, 30 and then 0 to 3."""
    quantizer = ResidualQuantizer(FaissClusterer(), levels=2, codes=4)
    quantizer.codebooks = torch.cat([10 * LINE, LINE]).double()
    quantizer.prices = torch.zeros(2, 4, dtype=torch.float64)
    return quantizer


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).unsqueeze(-1)


def test_extra_code_is_always_appended(line: ResidualQuantizer) -> None:
    x = column(0.1, 2.2, 0.2, 3.0)
    assert ExtraCode().resolve(line.encode(x), line, x)[0].tolist() == [[0, 0], [2, 0], [0, 1], [3, 0]]
    apart = column(0, 1, 2)
    codes, sizes = ExtraCode().resolve(line.encode(apart), line, apart)
    assert codes[:, 1].tolist() == [0, 0, 0] and sizes == (4, 1)


def test_extra_code_leaves_the_room_asked_for(line: ResidualQuantizer) -> None:
    x = column(0, 0, 0)
    assert ExtraCode().resolve(line.encode(x), line, x)[1] == (4, 3)
    assert ExtraCode(size=9).resolve(line.encode(x), line, x)[1] == (4, 9)
    with pytest.raises(ConfigurationError, match=r"3 items share .* size=2"):
        ExtraCode(size=2).resolve(line.encode(x), line, x)


def test_extra_code_counts_on_behind_the_codes_taken(line: ResidualQuantizer) -> None:
    taken = torch.tensor([[2, 0], [2, 4], [1, 0]])
    x = column(2, 3, 2)
    codes, sizes = ExtraCode().resolve(line.encode(x), line, x, taken)
    assert codes.tolist() == [[2, 5], [3, 0], [2, 6]] and sizes == (4, 7)


def test_next_best_keeps_the_nearest_and_moves_the_others_least(line: ResidualQuantizer) -> None:
    x = column(1.2, 1.0, 1.3)
    codes, sizes = NextBest().resolve(line.encode(x), line, x)
    assert codes.tolist() == [[0], [1], [2]] and sizes == (4,)


def test_next_best_stays_within_the_other_codes(two_levels: ResidualQuantizer) -> None:
    x = column(12.1, 2.0, 12.2, 11.0)
    codes = two_levels.encode(x)
    assert codes.tolist() == [[1, 2], [0, 2], [1, 2], [1, 1]]
    assert NextBest().resolve(codes, two_levels, x)[0].tolist() == [[1, 2], [0, 2], [1, 3], [1, 1]]


def test_next_best_leaves_the_codes_taken(line: ResidualQuantizer) -> None:
    x = column(1.1, 2.0)
    codes, _ = NextBest().resolve(line.encode(x), line, x, taken=torch.tensor([[1], [0]]))
    assert codes.tolist() == [[3], [2]]


def test_next_best_refuses_what_has_no_room(line: ResidualQuantizer) -> None:
    x = column(0, 0, 0, 0, 0)
    with pytest.raises(ConfigurationError, match="5 items share all codes but the last, which has only 4"):
        NextBest().resolve(line.encode(x), line, x)


@pytest.mark.parametrize("policy", [ExtraCode(), NextBest()])
def test_refuses_codes_taken_of_another_depth(policy: ExtraCode | NextBest, line: ResidualQuantizer) -> None:
    x = column(0, 1)
    with pytest.raises(ConfigurationError, match="beside items of 3"):
        policy.resolve(line.encode(x), line, x, taken=torch.zeros(1, 3, dtype=torch.int64))
