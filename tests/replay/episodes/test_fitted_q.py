from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from recsys.errors import RequestError
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.episodes.doubly_robust import SequentialDM, SequentialDR
from recsys.replay.episodes.fitted_models import predict
from recsys.replay.episodes.fitted_q import BellmanSums, LinearFittedQ, RegressedFittedQ, Transitions
from tests.replay.episodes.worlds import HORIZON, TARGET, Listed, at_expectation, listed, numbers, states, truth, worth

discounts = pytest.mark.parametrize("discount", [1.0, 0.7])


def drawn(episodes: int = 200, cut: float = 0.0) -> EpisodeBatch:
    """A log whose features say which of the two states it is, and not at which step."""
    world = listed(cut=cut)
    some = world.episodes.select(torch.multinomial(world.probability, episodes, replacement=True))
    return replace(some, context=torch.nn.functional.one_hot(states(some), 2).double())


def bellman(episodes: EpisodeBatch, discount: float) -> torch.Tensor:
    """`[S, A]`, the value in the world of the log's means and frequencies, counted one step at a time."""
    state_of = states(episodes)
    visits, reward, onward = torch.zeros(2, 2).double(), torch.zeros(2, 2).double(), torch.zeros(2, 2, 2).double()
    for row in range(len(episodes)):
        steps = int(episodes.mask[row].sum())
        for step in range(steps):
            if step == steps - 1 and not episodes.done[row]:
                continue
            state, action = int(state_of[row, step]), int(episodes.action[row, step])
            visits[state, action] += 1
            reward[state, action] += episodes.reward[row, step]
            if step < steps - 1:
                onward[state, action, int(state_of[row, step + 1])] += 1
    move = torch.einsum("sax,xb->saxb", onward / visits.unsqueeze(2), TARGET).reshape(4, 4)
    return torch.linalg.solve(torch.eye(4).double() - discount * move, (reward / visits).flatten()).view(2, 2)


@discounts
@pytest.mark.parametrize("cut", [0.0, 0.5])
def test_a_table_solves_the_bellman_equation_of_the_log(discount: float, cut: float) -> None:
    episodes = drawn(cut=cut)
    found = LinearFittedQ(discount)(episodes).coefficients.T
    torch.testing.assert_close(found, bellman(episodes, discount), rtol=0, atol=1e-8)
    ended = LinearFittedQ(discount)(replace(episodes, done=None)).coefficients.T
    assert torch.allclose(ended, found) == (cut == 0)


def in_expectation(world: Listed) -> BellmanSums:
    """The sums of a log of every episode as often as it comes."""
    steps = Transitions.of(world.episodes)
    often = world.probability.unsqueeze(1).expand(-1, HORIZON)[world.episodes.closed].sqrt().unsqueeze(1)
    chosen = torch.nn.functional.one_hot(steps.action, 2).double()
    now = (chosen.unsqueeze(2) * steps.context.unsqueeze(1)).flatten(1) * often
    later = (steps.next_target.unsqueeze(2) * steps.next_context.unsqueeze(1)).flatten(1) * often
    return BellmanSums(now.T @ now, now.T @ later, (steps.reward.unsqueeze(1) * often * now).sum(0), 2)


@discounts
def test_a_table_of_all_episodes_is_the_value_of_the_world(discount: float) -> None:
    found = LinearFittedQ(discount).solve(in_expectation(listed())).coefficients.view(2, 2, HORIZON)
    torch.testing.assert_close(found.permute(2, 1, 0), worth(discount)[0], rtol=0, atol=1e-8)


@discounts
def test_states_that_look_alike_bias_the_model_and_not_what_corrects_it(discount: float) -> None:
    world = listed()
    step = torch.eye(HORIZON).double().expand(len(world.episodes), -1, -1)
    world = replace(world, episodes=replace(world.episodes, context=step))
    fitted = LinearFittedQ(discount).solve(in_expectation(world))
    judged = replace(world, episodes=predict(fitted, world.episodes))
    assert abs(at_expectation(SequentialDM(discount), judged) - truth(discount)) > 0.002
    assert at_expectation(SequentialDR(discount), judged) == pytest.approx(truth(discount), abs=1e-12)


def test_sums_of_shards_merge() -> None:
    episodes = drawn(cut=0.3)
    whole = LinearFittedQ(0.9)(episodes).coefficients
    rows = torch.arange(200)
    parts = [BellmanSums.of(episodes.select(part)) for part in (rows[:50], rows[50:])]
    torch.testing.assert_close(LinearFittedQ(0.9).solve(parts[0] + parts[1]).coefficients, whole)


def test_an_action_never_seen_is_worth_nothing_and_a_ridge_shrinks() -> None:
    episodes = drawn()
    never = ((states(episodes) == 0) & (episodes.action == 1) & episodes.mask).any(1)
    assert LinearFittedQ(0.9)(episodes.select(~never)).coefficients[1, 0] == pytest.approx(0, abs=1e-9)
    assert LinearFittedQ(0.9, ridge=1e9)(episodes).coefficients.abs().max() < 1e-3


@discounts
@pytest.mark.parametrize("regressor", [DecisionTreeRegressor])
def test_a_regressor_that_can_be_a_table_is_the_table(discount: float, regressor: type) -> None:
    episodes = drawn(cut=0.5)
    found = RegressedFittedQ(regressor, discount, iterations=200)(episodes)
    torch.testing.assert_close(found(torch.eye(2).double()), bellman(episodes, discount), rtol=0, atol=1e-6)


def test_iterations_of_a_regressor_are_the_steps_that_it_values() -> None:
    episodes = drawn(4000)
    once = RegressedFittedQ(DecisionTreeRegressor, iterations=1)(episodes)(torch.eye(2).double())
    torch.testing.assert_close(once, worth(1.0, 1)[0][0], rtol=0, atol=0.08)
    assert RegressedFittedQ(LinearRegression, iterations=3)(episodes)(torch.eye(2).double()).shape == (2, 2)
    with pytest.raises(RequestError, match="iterations=0: expected at least 1"):
        RegressedFittedQ(LinearRegression, iterations=0)


def test_what_comes_after_the_end_is_not_read() -> None:
    there = torch.tensor([[True, True, False], [True, False, False]])
    nothing = torch.where(there, 1.0, float("nan")).double()
    episodes = EpisodeBatch(
        reward=nothing,
        logging=nothing,
        target=nothing,
        mask=there,
        done=torch.tensor([False, True]),
        action=there.long(),
        context=nothing.unsqueeze(2),
        target_all=nothing.unsqueeze(2) * numbers(0.5, 0.5),
    )
    steps = Transitions.of(episodes)
    assert steps.next_context.flatten().tolist() == [1, 0]
    assert steps.next_target.tolist() == [[0.5, 0.5], [0, 0]]


def test_values_without_bound_and_logs_without_consequences_are_refused() -> None:
    ones = torch.ones(1, 3).double()
    parts = {"action": ones.long(), "context": ones.unsqueeze(2), "target_all": ones.unsqueeze(2) * numbers(0.0, 1.0)}
    endless = EpisodeBatch(ones, ones, ones, ones > 0, done=torch.tensor([False]), **parts)
    with pytest.raises(RequestError, match="have not settled"):
        LinearFittedQ()(endless)
    assert LinearFittedQ(0.5)(endless).coefficients[1, 0] == pytest.approx(2)
    with pytest.raises(RequestError, match="one step and was cut off"):
        LinearFittedQ()(replace(endless, mask=torch.tensor([[True, False, False]])))
