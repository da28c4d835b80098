from __future__ import annotations

import pytest
import torch

from recsys.nn.dropout import Dropout


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_share_of_zeros_and_scale(probability: float) -> None:
    torch.manual_seed(0)
    out = Dropout(probability)(torch.ones(200_003))
    assert abs((out == 0).float().mean().item() - probability) < 0.005
    torch.testing.assert_close(out[out > 0], torch.full_like(out[out > 0], 1 / (1 - probability)), rtol=1e-4, atol=0)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(0)
    zero = (Dropout(0.5)(torch.ones(100_000)) == 0).float() - 0.5
    for lag in (1, 2, 3, 4, 8):
        assert abs((zero[lag:] * zero[:-lag]).mean().item() * 4) < 0.02


def test_the_gradient_passes_where_the_value_does() -> None:
    x = torch.ones(5, 7, requires_grad=True)
    out = Dropout(0.3)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, out.detach())


def test_equal_seeds_drop_the_same() -> None:
    torch.manual_seed(3)
    first = Dropout(0.5)(torch.ones(100))
    torch.manual_seed(3)
    assert torch.equal(first, Dropout(0.5)(torch.ones(100)))


def test_evaluation_and_probability_zero_change_nothing() -> None:
    x = torch.randn(9)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_half_precision_stays() -> None:
    assert Dropout(0.5)(torch.ones(4, dtype=torch.bfloat16)).dtype == torch.bfloat16


@pytest.mark.parametrize("probability", [-0.1, 1.0])
def test_impossible_probabilities(probability: float) -> None:
    with pytest.raises(ValueError, match="dropout probability"):
        Dropout(probability)
