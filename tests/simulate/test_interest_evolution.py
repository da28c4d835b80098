from __future__ import annotations

import pytest
import torch

from recsys.simulate.choice_models import ChoiceModel, MultinomialLogit
from recsys.simulate.interest_evolution import InterestEvolution, InterestState
from tests.simulate.worlds import everyone_gets, slates_of

ALWAYS = MultinomialLogit(no_click=-torch.inf)
NEVER = MultinomialLogit(no_click=1e4)
USERS = 20_000


def state_of(interest: float, budget: float, quality: float = 0.0, users: int = 1) -> InterestState:
    """Users of one topic with two candidates of it."""
    return InterestState(
        torch.full((users, 2), interest),
        torch.full((users,), budget),
        torch.zeros(users, 2, dtype=torch.int64),
        torch.full((users, 2), quality),
    )


def world(choice: ChoiceModel = ALWAYS) -> InterestEvolution:
    return InterestEvolution(num_items=2, topics=2, resample=False, choice=choice)


def test_a_click_earns_the_minutes_watched_and_quality_gives_some_back() -> None:
    after, feedback, _ = world().step(state_of(0.5, 10.0, quality=1.0), slates_of([[1]]), torch.Generator())
    assert feedback.reward.item() == 4.0
    assert after.budget.item() == pytest.approx(10 - 4 + 4 * 0.9 / 3.4)


def test_nobody_watches_longer_than_the_budget_lasts() -> None:
    after, feedback, _ = world().step(state_of(0.5, 1.5), slates_of([[0]]), torch.Generator())
    assert (feedback.reward.item(), after.budget.item(), after.done.item()) == (1.5, 0.0, True)


def test_a_slate_without_a_click_costs_the_penalty_and_moves_nothing() -> None:
    before = state_of(0.5, 10.0)
    after, feedback, _ = world(NEVER).step(before, slates_of([[0, 1]]), torch.Generator())
    assert (feedback.reward.sum().item(), after.budget.item()) == (0.0, 9.5)
    assert torch.equal(after.interests, before.interests)


@pytest.mark.parametrize("interest", [-0.5, 0.0, 0.5])
def test_interest_in_the_watched_topic_moves_by_the_formula(interest: float) -> None:
    after, _, _ = world().step(state_of(interest, 10.0, users=USERS), everyone_gets([0], USERS), torch.Generator())
    size = 0.3 * (1 - abs(interest)) * (1 - interest)
    moved = after.interests[:, 0] - interest
    assert torch.allclose(moved.abs(), torch.tensor(size))
    share = (moved > 0).float().mean().item()
    assert share == pytest.approx((interest + 1) / 2, abs=4 * (0.25 / USERS) ** 0.5)
    assert torch.equal(after.interests[:, 1], torch.full((USERS,), interest))


def test_quality_of_new_candidates_follows_their_topic() -> None:
    every = InterestEvolution(num_items=20, resample=False)
    state = every.reset(4_000, torch.Generator().manual_seed(0))
    assert state.quality is not None
    means = [state.quality[state.topics == topic].mean().item() for topic in (0, 13, 14, 19)]
    assert means == pytest.approx([-3, 0, 0, 3], abs=0.02)
    residual = state.quality[state.topics == 0] + 3
    assert residual.std().item() == pytest.approx(0.1, abs=0.01)
    assert state.topics.flatten().bincount().float().std() < 4 * (80_000 / 20) ** 0.5


def test_candidates_are_new_at_every_step_or_last() -> None:
    for resample in (True, False):
        every = InterestEvolution(resample=resample)
        state = every.reset(8, torch.Generator().manual_seed(0))
        after, _, _ = every.step(state, everyone_gets([0], 8), torch.Generator().manual_seed(1))
        assert torch.equal(after.topics, state.topics) != resample


def test_the_choice_is_the_one_of_the_shown_topics() -> None:
    users = USERS
    state = InterestState(
        torch.tensor([[-1.0, 1.0]]).expand(users, 2).contiguous(),
        torch.full((users,), 100.0),
        torch.tensor([[0, 1]]).expand(users, 2).contiguous(),
        None,
    )
    _, feedback, _ = InterestEvolution(num_items=2, topics=2).step(
        state, everyone_gets([0, 1], users), torch.Generator().manual_seed(0)
    )
    clicked = (feedback.reward[:, 0] > 0).float().mean(0)
    assert clicked[0] == 0  # −1 is the least score
    assert clicked[1].item() == pytest.approx(0.5, abs=0.02)  # 2 of 0 + 2 + 2
