from __future__ import annotations

import pytest
import torch

from recsys.simulate.long_term_satisfaction import LongTermSatisfaction, SatisfactionState
from tests.simulate.worlds import everyone_gets, slates_of

USERS = 20_000


def state_of(exposure: float, clickbait: list[float], users: int = 1, left: int = 5) -> SatisfactionState:
    return SatisfactionState(
        torch.full((users,), exposure), torch.full((users,), left), torch.tensor(clickbait).expand(users, -1)
    )


@pytest.mark.parametrize(("clickbait", "expected"), [(1.0, 0.7 - 1), (0.0, 0.7 + 1), (0.5, 0.7)])
def test_clickbait_costs_exposure_and_kale_gives_it(clickbait: float, expected: float) -> None:
    world = LongTermSatisfaction(innovation=0.0)
    after, _, _ = world.step(state_of(1.0, [clickbait]), slates_of([[0]]), torch.Generator())
    assert after.exposure.item() == pytest.approx(expected)
    assert after.steps_left.item() == 4


@pytest.mark.parametrize(("clickbait", "exposure"), [(1.0, 0.0), (0.0, 0.0), (0.25, 100.0)])
def test_log_engagement_is_normal_around_satisfaction_times_the_mean(clickbait: float, exposure: float) -> None:
    world = LongTermSatisfaction(chocolate_deviation=1.5, kale_deviation=0.5)
    state = state_of(exposure, [clickbait], USERS)
    _, feedback, _ = world.step(state, everyone_gets([0], USERS), torch.Generator().manual_seed(0))
    logs = feedback.reward.flatten().log()
    satisfaction = 1 / (1 + torch.tensor(-0.01 * exposure).exp().item())
    deviation = 1.5 * clickbait + 0.5 * (1 - clickbait)
    assert logs.mean().item() == pytest.approx(satisfaction * (5 * clickbait + 4 * (1 - clickbait)), abs=0.05)
    assert logs.std().item() == pytest.approx(deviation, rel=0.03)


def test_noise_of_exposure_has_its_deviation() -> None:
    world = LongTermSatisfaction(innovation=0.3)
    state = state_of(0.0, [0.5], USERS)
    after, _, _ = world.step(state, everyone_gets([0], USERS), torch.Generator().manual_seed(0))
    assert after.exposure.std().item() == pytest.approx(0.3, rel=0.03)
    assert after.exposure.mean().item() == pytest.approx(0, abs=0.01)


def test_only_the_first_slot_is_taken_and_an_empty_slate_waits() -> None:
    world = LongTermSatisfaction()
    state = state_of(0.0, [0.2, 0.9], users=2)
    after, feedback, _ = world.step(state, slates_of([[1, 0], [-1, -1]]), torch.Generator().manual_seed(0))
    assert (feedback.reward[:, 0] > 0).tolist() == [[True, False], [False, False]]
    assert after.steps_left.tolist() == [4, 5]


def test_sessions_start_within_the_reach_of_memory() -> None:
    exposure = LongTermSatisfaction(memory=0.5).reset(USERS, torch.Generator().manual_seed(0)).exposure
    assert exposure.abs().max().item() == pytest.approx(1.0, abs=0.01)
    assert exposure.std().item() == pytest.approx(2 / 12**0.5, rel=0.02)


def test_candidates_are_new_at_every_step_or_last() -> None:
    for resample in (True, False):
        world = LongTermSatisfaction(resample=resample)
        state = world.reset(8, torch.Generator().manual_seed(0))
        after, _, _ = world.step(state, everyone_gets([0], 8), torch.Generator().manual_seed(1))
        assert torch.equal(after.clickbait, state.clickbait) != resample
