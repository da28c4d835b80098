from __future__ import annotations

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, VectorEnv

from recsys.simulate.gym import SlateVectorEnv
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.simulate.long_term_satisfaction import LongTermSatisfaction
from recsys.simulate.planted_groups import PlantedGroups
from recsys.simulate.simulator import Simulator

WORLDS = {
    "interest": lambda: InterestEvolution(budget=6.0),
    "satisfaction": lambda: LongTermSatisfaction(steps=3),
    "planted": lambda: PlantedGroups(num_items=12, groups=3, width=2, steps=3),
}
every_world = pytest.mark.parametrize("make", WORLDS.values(), ids=WORLDS)


def env_of(simulator: Simulator) -> SlateVectorEnv:
    return SlateVectorEnv(simulator, users=5, slots=2, history=4)


@every_world
def test_observations_actions_and_answers_have_the_spaces_they_say(make) -> None:
    env = env_of(make())
    assert isinstance(env, VectorEnv)
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observed, infos = env.reset(seed=1)
    env.action_space.seed(1)
    assert infos == {}
    for _ in range(12):
        assert env.observation_space.contains(observed)
        observed, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        assert reward.shape == terminated.shape == truncated.shape == (5,)
        assert (terminated.dtype, reward.dtype) == (np.bool_, np.float64)
        assert not truncated.any()


@every_world
def test_equal_seeds_give_equal_worlds(make) -> None:
    def rewards(seed: int) -> list[float]:
        env = env_of(make())
        env.reset(seed=seed)
        return [float(value) for _ in range(8) for value in env.step(np.array([[0, 1]] * 5))[1]]

    assert rewards(3) == rewards(3) != rewards(4)


def test_who_is_done_is_replaced_and_the_last_observation_is_kept() -> None:
    env = env_of(PlantedGroups(num_items=12, groups=3, width=2, steps=2))
    env.reset(seed=0)
    shown = np.array([[0, 1]] * 5)
    assert "final_obs" not in env.step(shown)[-1]
    observed, _, terminated, _, infos = env.step(shown)
    assert terminated.all() and infos["_final_obs"].all()
    assert (observed["history"] == -1).all()
    assert (infos["final_obs"]["history"] >= 0).any()
    assert env.state.steps_left.tolist() == [2] * 5


def test_others_stay_when_some_are_replaced() -> None:
    env = env_of(InterestEvolution())
    env.reset(seed=0)
    budget = env.state.budget.clone()
    budget[1] = 0.1
    env.state = type(env.state)(env.state.interests, budget, env.state.topics, None)
    before = env.state.interests.clone()
    _, _, terminated, _, infos = env.step(np.array([[0, 1]] * 5))
    assert terminated.tolist() == [False, True, False, False, False]
    assert env.state.budget[1] == 200.0
    same = (env.state.interests - before).abs() < 0.61  # a step moves an interest by .6 at most, a new user has others
    assert same[[0, 2, 3, 4]].all()
    assert not torch.equal(env.state.interests[1], before[1])
    assert infos["final_obs"]["interests"].shape == (5, 20)


def test_an_item_shown_twice_leaves_its_second_slot_empty() -> None:
    env = SlateVectorEnv(PlantedGroups(num_items=3, groups=1, width=2, steps=10**6), users=4000, slots=2)
    env.reset(seed=0)
    twice = env.step(np.array([[1, 1]] * 4000))[1].mean()
    env.reset(seed=0)
    once = SlateVectorEnv(PlantedGroups(num_items=3, groups=1, width=2, steps=10**6), users=4000, slots=1)
    once.reset(seed=0)
    assert twice == pytest.approx(once.step(np.array([[1]] * 4000))[1].mean(), abs=0.04)
    assert env.step(np.array([[1, 2]] * 4000))[1].mean() > twice + 0.05


def test_a_better_agent_earns_more() -> None:
    def earned(best: bool) -> float:
        env = SlateVectorEnv(InterestEvolution(), users=64, slots=1)
        observed, _ = env.reset(seed=0)
        total = 0.0
        for _ in range(20):
            liked = np.take_along_axis(observed["interests"], observed["topics"], 1)
            action = liked.argmax(1, keepdims=True) if best else np.zeros((64, 1), dtype=np.int64)
            observed, reward, *_ = env.step(action)
            total += reward.sum()
        return total

    assert earned(best=True) > 1.1 * earned(best=False)
