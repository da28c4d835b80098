from __future__ import annotations

import pytest
import torch

from recsys.nn.affinity import inner_product
from recsys.simulate.dynamics import Dynamics, GammaLinear, Recurrent, Reinforcing

WIDTH = 4
SHOWN = torch.tensor([[True, True, False], [True, True, False]])
CLICKS = torch.tensor([[True, False, False], [False, False, False]])


@pytest.fixture
def hidden() -> torch.Tensor:
    return torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def vectors() -> torch.Tensor:
    return torch.randn(2, 3, WIDTH, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("dynamics", [GammaLinear(), Recurrent(WIDTH), Reinforcing()], ids=["linear", "gru", "bubble"])
def test_empty_slots_move_nobody(dynamics: Dynamics, hidden: torch.Tensor, vectors: torch.Tensor) -> None:
    assert isinstance(dynamics, Dynamics)
    other = vectors.index_fill(1, torch.tensor([2]), 99.0)
    assert torch.equal(dynamics.move(hidden, vectors, SHOWN, CLICKS), dynamics.move(hidden, other, SHOWN, CLICKS))


@pytest.mark.parametrize("dynamics", [GammaLinear(), Recurrent(WIDTH)], ids=["linear", "gru"])
def test_without_a_click_the_user_stays(dynamics: Dynamics, hidden: torch.Tensor, vectors: torch.Tensor) -> None:
    moved = dynamics.move(hidden, vectors, SHOWN, CLICKS)
    assert torch.equal(moved[1], hidden[1])
    assert not torch.equal(moved[0], hidden[0])


def test_gamma_one_never_moves_and_gamma_zero_is_the_last_click(hidden: torch.Tensor, vectors: torch.Tensor) -> None:
    assert torch.equal(GammaLinear(1.0).move(hidden, vectors, SHOWN, CLICKS), hidden)
    torch.testing.assert_close(GammaLinear(0.0).move(hidden, vectors, SHOWN, CLICKS)[0], vectors[0, 0])


def test_gamma_is_the_share_that_stays(hidden: torch.Tensor, vectors: torch.Tensor) -> None:
    moved = GammaLinear(0.75).move(hidden, vectors, SHOWN, CLICKS)
    torch.testing.assert_close(moved[0], 0.75 * hidden[0] + 0.25 * vectors[0, 0])


def test_several_clicks_count_as_their_mean(hidden: torch.Tensor, vectors: torch.Tensor) -> None:
    both = torch.tensor([[True, True, False]] * 2)
    moved = GammaLinear(0.0).move(hidden, vectors, SHOWN, both)
    torch.testing.assert_close(moved, vectors[:, :2].mean(1))


def test_the_recurrent_user_is_one_step_of_the_cell(hidden: torch.Tensor, vectors: torch.Tensor) -> None:
    dynamics = Recurrent(WIDTH, seed=3)
    torch.testing.assert_close(
        dynamics.move(hidden, vectors, SHOWN, CLICKS)[0], dynamics.cell(vectors[:1, 0], hidden[:1])[0]
    )
    torch.testing.assert_close(dynamics.position(hidden).norm(dim=1), hidden.norm(dim=1))
    assert torch.equal(Recurrent(WIDTH, seed=3).readout, dynamics.readout)


def test_clicks_feed_interest_and_skips_starve_it(hidden: torch.Tensor, vectors: torch.Tensor) -> None:
    clicked = Reinforcing(gain=0.5, loss=0.0).move(hidden, vectors, SHOWN, CLICKS)
    rise = (inner_product(clicked, vectors) - inner_product(hidden, vectors))[0, 0]
    torch.testing.assert_close(rise, 0.5 * vectors[0, 0].square().sum())
    skipped = Reinforcing(gain=0.0, loss=0.5).move(hidden, vectors, SHOWN, CLICKS)
    torch.testing.assert_close(skipped[1], hidden[1] - 0.5 * vectors[1, :2].mean(0))
