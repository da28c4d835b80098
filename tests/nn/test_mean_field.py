from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from recsys.nn.mean_field import MeanField

ROWS, WIDTH = 5, 3


@pytest.fixture
def table() -> MeanField:
    table = MeanField(ROWS, WIDTH, deviation=0.5, initial=2.0)
    torch.nn.init.normal_(table.log_deviation, 0, 0.3)
    return table


def test_the_divergence_is_that_of_torch(table: MeanField) -> None:
    rows = torch.tensor([4, 0, 0])
    own = Normal(table.mean[rows], table.log_deviation[rows].exp())
    expected = kl_divergence(own, Normal(torch.tensor(-1.0), torch.tensor(0.7))).sum(1)
    torch.testing.assert_close(table.kl(rows, -1.0, 0.7), expected)


def test_it_is_zero_at_the_prior_and_nowhere_else(table: MeanField) -> None:
    every = torch.arange(ROWS)
    assert (table.kl(every, 0.3, 1.5) > 0.01).all()
    table.reset(torch.tensor([1, 3]), 0.3, 1.5)
    found = table.kl(every, 0.3, 1.5)
    torch.testing.assert_close(found[[1, 3]], torch.zeros(2), atol=1e-6, rtol=0)
    assert (found[[0, 2, 4]] > 0.01).all()


def test_draws_have_the_moments(table: MeanField, generator: torch.Generator) -> None:
    draws = table.draw(torch.arange(ROWS).expand(40_000, -1), generator)
    mean, variance = table.moments(torch.arange(ROWS))
    assert ((draws.mean(0) - mean).abs() < 4.5 * (variance / 40_000).sqrt()).all()
    torch.testing.assert_close(draws.var(0), variance, rtol=0.04, atol=0)


def test_a_row_is_one_draw_and_rows_are_independent(table: MeanField, generator: torch.Generator) -> None:
    draws = table.draw(torch.tensor([[2, 0, 2], [0, 2, 1]]), generator)
    assert torch.equal(draws[0, 0], draws[0, 2])
    assert not torch.isclose(draws[0, 0], draws[1, 1]).any()
    pairs = table.draw(torch.tensor([[1, 2], [1, 1]]).repeat(20_000, 1), generator).detach()
    other, same = pairs[0::2, :, 0], pairs[1::2, :, 0]
    assert abs(torch.corrcoef(other.T)[0, 1]) < 0.03
    assert torch.equal(same[:, 0], same[:, 1])
    assert abs(torch.corrcoef(torch.stack([other[:, 0], same[:, 0]]))[0, 1]) < 0.03


def test_nothing_is_drawn_where_there_is_no_row(table: MeanField) -> None:
    first, second = (torch.Generator().manual_seed(3) for _ in range(2))
    full = table.draw(torch.tensor([[1, 4], [0, 2]]), first)
    holes = table.draw(torch.tensor([[-1, 1, 4, -1], [-1, -1, 0, 2]]), second)
    assert torch.equal(holes[0, 1:3], full[0]) and torch.equal(holes[1, 2:], full[1])
    assert not holes[0, [0, 3]].any() and not holes[1, :2].any()
    assert torch.equal(first.get_state(), second.get_state())
    assert table.draw(torch.full((2, 3), -1), first).abs().sum() == 0


def test_gradients_reach_mean_and_deviation_of_what_was_drawn(table: MeanField, generator: torch.Generator) -> None:
    draws = table.draw(torch.tensor([[2, 2], [2, -1]]), generator)
    draws.sum().backward()
    assert table.mean.grad is not None and table.log_deviation.grad is not None
    assert table.mean.grad[2].tolist() == [3.0] * WIDTH
    noise = draws.detach() - table.mean[2].detach()
    torch.testing.assert_close(table.log_deviation.grad[2], noise[0, 0] + noise[0, 1] + noise[1, 0])
    assert not table.mean.grad[[0, 1, 3, 4]].any() and not table.log_deviation.grad[[0, 1, 3, 4]].any()


def test_the_start_is_what_was_asked_for() -> None:
    table = MeanField(2000, 4, deviation=0.2, initial=0.5, mean=3.0)
    torch.testing.assert_close(table.log_deviation.exp(), torch.full((2000, 4), 0.2))
    assert table.mean.mean().item() == pytest.approx(3.0, abs=0.03)
    assert table.mean.std().item() == pytest.approx(0.5, rel=0.03)
