"""What an episode refuses of policies and simulators that break their contracts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recsys.errors import ContractError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.baselines.oracle import Oracle
from recsys.rollouts.contract import check_slates
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, play
from recsys.simulate.planted_groups import PlantedGroups
from recsys.types.context import Context
from recsys.types.feedback import Channel, Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

INFINITE, NAN = float("inf"), float("nan")
CONTEXT = Context(torch.arange(3), Jagged.empty(3), Jagged.from_rows([[], [2], []]))
EVERYBODY = torch.ones(3, dtype=torch.bool)


def slates(items: list[int], log_prob: list[float] | None = None) -> Slates:
    """One that is right for the first and the last user, and the one given for the user between them."""
    rows = torch.tensor([[0, 1, 3], items, [0, 1, 3]]).unsqueeze(1)
    chances = torch.full(rows.shape, -0.5)
    chances[1, 0] = torch.tensor(log_prob or [-0.5, -0.5, -0.5])
    return Slates(rows, chances)


@pytest.mark.parametrize(
    ("items", "log_prob", "problem"),
    [
        ([4, 1, 4], None, "the slate [4, 1, 4] holds an item twice"),
        ([4, -1, 1], None, "the slate [4, -1, 1] has an item behind an empty slot"),
        ([4, 5, 1], None, "the slate [4, 5, 1] holds an item outside 0 … 4"),
        ([4, 1, -2], None, "the slate [4, 1, -2] holds an item outside 0 … 4"),
        ([4, 2, 1], None, "the slate [4, 2, 1] holds an item outside the user's legal set"),
        ([4, 3, 1], [-0.5, NAN, -0.5], "the log-probabilities [-0.5, nan, -0.5] of the slate [4, 3, 1] are not all in"),
        ([4, 3, 1], [-0.5, 0.01, -0.5], "the log-probabilities [-0.5, 0.01, -0.5] of the slate"),
        ([4, 3, 1], [-0.5, -0.5, -INFINITE], "the log-probabilities [-0.5, -0.5, -inf] of the slate"),
    ],
)
def test_a_wrong_slate_is_named(items: list[int], log_prob: list[float] | None, problem: str) -> None:
    with pytest.raises(ContractError, match=re.escape(f"step 7, user 1: the policy breaks its contract: {problem}")):
        check_slates(slates(items, log_prob), CONTEXT, 3, 5, EVERYBODY, 7)
    over = torch.tensor([True, False, True])
    check_slates(slates(items, log_prob), CONTEXT, 3, 5, over, 7)


@pytest.mark.parametrize("items", [[4, 1, 3], [4, -1, -1], [-1, -1, -1]])
def test_slates_that_are_allowed_pass(items: list[int]) -> None:
    log_prob = [0.0 if item >= 0 else -INFINITE for item in items]
    check_slates(slates(items, log_prob), CONTEXT, 3, 5, EVERYBODY, 0)


@pytest.mark.parametrize("shape", [(3, 1, 2), (3, 2, 3), (2, 1, 3)])
def test_a_wrong_shape_is_named(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ContractError, match=r"step 0: the policy's slates.items has the shape .*expected \[3, 1, 3\]"):
        check_slates(Slates(torch.zeros(shape, dtype=torch.int64), torch.zeros(shape)), CONTEXT, 3, 5, EVERYBODY, 0)


class Answering(PlantedGroups):
    """Changes the answers of the third step."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__(num_items=20, groups=4, width=3, steps=9)
        self.change = change
        self.steps_played = 0

    def step(self, state: Any, slates: Slates, generator: torch.Generator) -> tuple[Any, Feedback, Tensor]:
        after, feedback, done = super().step(state, slates, generator)
        self.steps_played += 1
        if self.steps_played == 3:
            reward = replace(feedback.channels["reward"], value=self.change(feedback.reward.clone()))
            feedback = replace(feedback, channels={**feedback.channels, "reward": reward})
        return after, feedback, done


def change_one(value: float) -> Callable[[Tensor], Tensor]:
    def change(reward: Tensor) -> Tensor:
        reward[4, 0, 1] = value
        return reward

    return change


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            change_one(NAN),
            r"step 2, user 4: the simulator breaks its contract: the rewards \[.*nan\] are not all finite",
        ),
        (change_one(INFINITE), "step 2, user 4: .*are not all finite and at least 0"),
        (change_one(-1.0), "step 2, user 4: .*are not all finite and at least 0"),
        (lambda reward: reward + 1, "step 2, user 0: .*the clicks .* are not 1 where the rewards"),
        (
            lambda reward: reward[:, :, :1],
            r"step 2: the simulator's channel 'reward' has the shape \[6, 1, 1\], expected",
        ),
    ],
)
def test_a_wrong_answer_of_a_simulator_is_named(change: Callable[[Tensor], Tensor], problem: str) -> None:
    with pytest.raises(ContractError, match=problem):
        list(play(Answering(change), UniformPolicy(20), EpisodeConfig(6, 5, 2), EpisodeGenerators.seeded(0)))


def test_a_simulator_without_rewards_is_refused() -> None:
    class Clicks(PlantedGroups):
        def step(self, state: Any, slates: Slates, generator: torch.Generator) -> tuple[Any, Feedback, Tensor]:
            after, feedback, done = super().step(state, slates, generator)
            return after, Feedback({"click": Channel(feedback["click"])}), done

    simulator = Clicks(num_items=20, groups=4, width=3)
    with pytest.raises(ContractError, match="step 0: the simulator's feedback has no channel 'reward', only click"):
        list(play(simulator, UniformPolicy(20), EpisodeConfig(6, 5, 2), EpisodeGenerators.seeded(0)))


def test_scores_that_an_oracle_cannot_rank_are_refused() -> None:
    class Unknown(PlantedGroups):
        def scores(self, state: Any) -> Tensor:
            return super().scores(state) * NAN

    simulator = Unknown(num_items=20, groups=4, width=3)
    with pytest.raises(
        ContractError, match="step 0, user 0: the simulator breaks its contract: the scores are not all"
    ):
        list(play(simulator, Oracle(20), EpisodeConfig(6, 5, 2), EpisodeGenerators.seeded(0)))
