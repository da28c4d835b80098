from __future__ import annotations

import pytest
import torch

from recsys.models.slates.user_state import GammaLinearUser, MarkovUser, RecurrentUser, UserState
from recsys.simulate.dynamics import GammaLinear, Recurrent

USERS, STEPS, WIDTH = 6, 5, 3


def recurrent() -> RecurrentUser:
    torch.manual_seed(0)
    user = RecurrentUser(WIDTH)
    torch.nn.init.normal_(user.readout)
    return user


every_user = pytest.mark.parametrize(
    "user", [GammaLinearUser(0.7), MarkovUser(), recurrent()], ids=["gamma_linear", "markov", "recurrent"]
)


@pytest.fixture
def start(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(USERS, WIDTH, generator=generator)


@pytest.fixture
def vectors(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(USERS, STEPS, WIDTH, generator=generator)


@pytest.fixture
def clicked() -> torch.Tensor:
    """From none to all."""
    return torch.arange(STEPS) < torch.arange(USERS).unsqueeze(1)


@every_user
@pytest.mark.parametrize("step", range(STEPS))
def test_a_later_click_changes_no_earlier_state(
    user: UserState, step: int, start: torch.Tensor, vectors: torch.Tensor, clicked: torch.Tensor
) -> None:
    everyone = torch.ones_like(clicked)
    before = user(start, vectors, everyone)
    moved = vectors.clone()
    moved[:, step] += 10.0
    after = user(start, moved, everyone)
    assert torch.equal(after[:, : step + 1], before[:, : step + 1])
    assert not torch.isclose(after[:, step + 1], before[:, step + 1]).all(1).any()
    flipped = everyone.clone()
    flipped[:, step] = False
    assert torch.equal(user(start, vectors, flipped)[:, : step + 1], before[:, : step + 1])


@every_user
def test_no_gradient_comes_from_later(user: UserState, start: torch.Tensor, vectors: torch.Tensor) -> None:
    vectors = vectors.requires_grad_()
    states = user(start, vectors, torch.ones(USERS, STEPS, dtype=torch.bool))
    states[:, 2].sum().backward()
    assert vectors.grad is not None
    assert vectors.grad[:, 1].any() and not vectors.grad[:, 2:].any()


@every_user
def test_without_a_click_nobody_moves_and_the_vector_is_not_read(
    user: UserState, start: torch.Tensor, vectors: torch.Tensor, clicked: torch.Tensor
) -> None:
    states = user(start, vectors, clicked)
    assert states.shape == (USERS, STEPS + 1, WIDTH)
    torch.testing.assert_close(states[:, 0], user.position(start))
    for one in range(USERS):
        assert torch.equal(states[one, one:], states[one, one].expand(STEPS + 1 - one, -1))
    other = vectors.masked_fill(~clicked.unsqueeze(2), 99.0)
    assert torch.equal(user(start, other, clicked), states)


@every_user
def test_a_user_is_not_touched_by_the_others(
    user: UserState, start: torch.Tensor, vectors: torch.Tensor, clicked: torch.Tensor
) -> None:
    rows = torch.tensor([4, 1])
    alone = user(start[rows], vectors[rows], clicked[rows])
    torch.testing.assert_close(alone, user(start, vectors, clicked)[rows])


@every_user
def test_before_anything_happened(user: UserState, start: torch.Tensor, vectors: torch.Tensor) -> None:
    states = user(start, vectors[:, :0], torch.zeros(USERS, 0, dtype=torch.bool))
    torch.testing.assert_close(states, user.position(start).unsqueeze(1))


def test_gamma_one_never_moves_and_gamma_zero_is_the_last_click(
    start: torch.Tensor, vectors: torch.Tensor, clicked: torch.Tensor
) -> None:
    user = GammaLinearUser()
    with torch.no_grad():
        user.logit.fill_(torch.inf)
    assert torch.equal(user(start, vectors, clicked), start.unsqueeze(1).expand(-1, STEPS + 1, -1))
    with torch.no_grad():
        user.logit.fill_(-torch.inf)
    assert torch.equal(user(start, vectors, clicked), MarkovUser()(start, vectors, clicked))


def test_the_linear_user_is_the_simulated_one(
    start: torch.Tensor, vectors: torch.Tensor, clicked: torch.Tensor
) -> None:
    user, world, hidden = GammaLinearUser(0.7), GammaLinear(0.7), start
    assert user.gamma.item() == pytest.approx(0.7)
    states = user(start, vectors, clicked)
    for step in range(STEPS):
        mark = clicked[:, step : step + 1]
        hidden = world.move(hidden, vectors[:, step : step + 1], mark, mark)
        torch.testing.assert_close(states[:, step + 1], hidden)


def test_the_recurrent_user_is_the_simulated_one(
    start: torch.Tensor, vectors: torch.Tensor, clicked: torch.Tensor
) -> None:
    world, user, hidden = Recurrent(WIDTH, seed=2), recurrent(), start
    user.cell.load_state_dict(world.cell.state_dict())
    user.readout.data = world.readout
    states = user(start, vectors, clicked)
    for step in range(STEPS):
        mark = clicked[:, step : step + 1]
        hidden = world.move(hidden, vectors[:, step : step + 1], mark, mark)
        torch.testing.assert_close(states[:, step + 1], world.position(hidden))


def test_gamma_learns_how_far_users_move(start: torch.Tensor, vectors: torch.Tensor, clicked: torch.Tensor) -> None:
    truth, user = GammaLinearUser(0.3)(start, vectors, clicked).detach(), GammaLinearUser(0.8)
    optimizer = torch.optim.Adam(user.parameters(), lr=0.1)
    for _ in range(150):
        optimizer.zero_grad()
        (user(start, vectors, clicked) - truth).square().mean().backward()
        optimizer.step()
    assert user.gamma.item() == pytest.approx(0.3, abs=0.01)


def test_the_linear_users_own_way_is_that_of_every_user() -> None:
    user = GammaLinearUser(0.7).double()
    start, vectors = torch.randn(5, 3).double(), torch.randn(5, 8, 3).double()
    clicked = torch.rand(5, 8) < 0.6
    vectors[~clicked] = 1e6
    found, expected = user(start, vectors, clicked), UserState.forward(user, start, vectors, clicked)
    torch.testing.assert_close(found, expected)
    one, other = (torch.autograd.grad(way.square().sum(), user.logit)[0] for way in (found, expected))
    torch.testing.assert_close(one, other)
