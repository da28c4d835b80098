"""Returns against sums written out, and values of a chain of two states that are known exactly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.objectives.returns import (
    as_they_are,
    discounted_returns,
    generalised_advantages,
    lambda_returns,
    standardised,
)

STEPS, USERS = 6, 40


@pytest.fixture
def trajectory(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rewards, values, and sessions that end at a step by chance; nothing is earned afterwards."""
    reward, value = (torch.randn(size, USERS, generator=generator).double() for size in (STEPS, STEPS + 1))
    done = (torch.rand(STEPS, USERS, generator=generator) < 0.25).cummax(0).values
    active = torch.cat([torch.ones(1, USERS, dtype=torch.bool), ~done[:-1]])
    assert 0.2 < active.float().mean() < 0.9
    return reward * active, value, done, active


def summed(reward: Tensor, value: Tensor, done: Tensor, discount: float, trace: float) -> Tensor:
    """λ-returns user by user as mixtures of n-step returns."""
    found = torch.zeros_like(reward)
    for user in range(reward.shape[1]):
        for start in range(len(reward)):
            ends = [step for step in range(start, len(reward)) if done[step, user]]
            last = ends[0] if ends else len(reward) - 1
            total, collected = 0.0, 0.0
            for step in range(start, last + 1):
                collected += discount ** (step - start) * float(reward[step, user])
                ahead = 0.0 if done[step, user] else discount ** (step - start + 1) * float(value[step + 1, user])
                weight = trace ** (step - start) * (1.0 if step == last else 1 - trace)
                total += weight * (collected + ahead)
            found[start, user] = total
    return found


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
def test_lambda_returns_are_mixtures_of_n_step_returns(trajectory, discount: float, trace: float) -> None:
    reward, value, done, active = trajectory
    found = lambda_returns(reward, value, done, discount=discount, trace=trace)
    expected = summed(reward, value, done, discount, trace)
    torch.testing.assert_close(found[active], expected[active])
    assert not found[~active].any()


def test_rates_may_differ_from_step_to_step(trajectory, generator: torch.Generator) -> None:
    reward, value, done, _ = trajectory
    discount, trace = (torch.rand(STEPS, USERS, generator=generator).double() for _ in range(2))
    found = lambda_returns(reward, value, done, discount=discount, trace=trace)
    for user in range(USERS):
        ahead = float(value[-1, user])
        for step in reversed(range(STEPS)):
            mixed = (1 - trace[step, user]) * value[step + 1, user] + trace[step, user] * ahead
            ahead = float(reward[step, user] + (0.0 if done[step, user] else discount[step, user] * mixed))
            assert float(found[step, user]) == pytest.approx(ahead)
    same = lambda_returns(
        reward, value, done, discount=torch.full_like(discount, 0.9), trace=torch.full_like(trace, 0.6)
    )
    assert torch.equal(same, lambda_returns(reward, value, done, discount=0.9, trace=0.6))


def test_an_action_that_lasts_for_a_session_is_worth_the_session_and_what_follows(trajectory) -> None:
    """Sessions of three steps: rewards within a session are discounted by γ, the next session counts by γ_h V."""
    reward, value, _, _ = trajectory
    goes_on = torch.zeros(STEPS, USERS, dtype=torch.bool)
    last = torch.tensor([[False], [False], [True]] * 2).expand(-1, USERS)
    discount = torch.full_like(reward, 0.9).masked_fill(last, 0.5)
    found = lambda_returns(reward, value, goes_on, discount=discount, trace=(~last).double())
    for start in (0, 3):
        within = sum(0.9**step * reward[start + step] for step in range(3))
        torch.testing.assert_close(found[start], within + 0.9**2 * 0.5 * value[start + 3])


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_discounted_returns_are_sums_until_the_end(trajectory, discount: float) -> None:
    reward, value, done, _ = trajectory
    nothing = torch.zeros_like(value)
    expected = summed(reward, nothing, done, discount, 1.0)
    torch.testing.assert_close(discounted_returns(reward, done, discount=discount), expected)
    more = discounted_returns(reward, done, value[-1], discount=discount) - expected
    left = (~done[-1]).double() * value[-1]
    powers = discount ** torch.arange(STEPS, 0, -1).double()
    torch.testing.assert_close(more, powers.unsqueeze(1) * left)


@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
def test_advantages_are_discounted_sums_of_surprises(trajectory, trace: float) -> None:
    reward, value, done, active = trajectory
    surprise = (reward + 0.9 * value[1:] * ~done - value[:-1]) * active
    expected = discounted_returns(surprise, done, discount=0.9 * trace)
    found = generalised_advantages(reward, value, done, active, discount=0.9, trace=trace)
    torch.testing.assert_close(found, expected * active)


def chain(steps: int, users: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """States and rewards of a chain: state 0 earns 1 and stays with probability .7, state 1 earns 0, stays with .6."""
    state, states, rewards = torch.zeros(users, dtype=torch.int64), [], []
    stay = torch.tensor([0.7, 0.6])
    for _ in range(steps):
        states.append(state)
        rewards.append((state == 0).double())
        state = torch.where(torch.rand(users, generator=generator) < stay[state], state, 1 - state)
    return torch.stack([*states, state]), torch.stack(rewards)


def test_in_a_chain_of_two_states_returns_are_its_values(generator: torch.Generator) -> None:
    """`V = r + γ P V` is solved exactly; λ-returns by the right values have that mean whatever λ, and no advantage."""
    discount, users = 0.8, 20_000
    moves = torch.tensor([[0.7, 0.3], [0.4, 0.6]], dtype=torch.float64)
    value = torch.linalg.solve(torch.eye(2) - discount * moves, torch.tensor([1.0, 0.0], dtype=torch.float64))
    states, reward = chain(5, users, generator)
    done = torch.zeros(5, users, dtype=torch.bool)
    for trace in (0.0, 0.5, 1.0):
        found = lambda_returns(reward, value[states], done, discount=discount, trace=trace)
        assert found[0].mean().item() == pytest.approx(float(value[0]), abs=0.02)
        later = found[2][states[2] == 1].mean().item()
        assert later == pytest.approx(float(value[1]), abs=0.03)
        advantage = generalised_advantages(reward, value[states], done, ~done, discount=discount, trace=trace)
        assert advantage[0].mean().abs() < 0.02


def test_standardised_advantages_have_mean_0_and_deviation_1_where_it_counts(trajectory) -> None:
    reward, _, _, active = trajectory
    found = standardised(reward, active)
    assert found[active].mean().abs() < 1e-12
    assert found[active].std(correction=0).item() == pytest.approx(1.0)
    assert not found[~active].any()
    assert as_they_are(reward, active) is reward
    assert not standardised(torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool)).any()
