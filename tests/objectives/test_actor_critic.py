"""Losses of actor and critic against exact gradients: a tiny decision process is enumerated."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.objectives.actor_critic import (
    ActorCriticSteps,
    advantage_actor_critic,
    clipped_policy_loss,
    policy_gradient_loss,
    proximal_policy_optimisation,
    sampled_entropy,
    value_loss,
)

ACTIONS = 3
MOVES = torch.tensor([[0, 1, 1], [1, 0, 0]])
"""The state that each action leads to; two steps, two states, state 0 first."""
REWARD = torch.tensor([[1.0, 0.0, -0.5], [0.3, 2.0, 0.1]], dtype=torch.float64)


@pytest.fixture
def logits() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, ACTIONS, generator=generator, dtype=torch.float64).requires_grad_()


def paths() -> Tensor:
    """Every pair of actions, `[9, 2]`."""
    return torch.cartesian_prod(torch.arange(ACTIONS), torch.arange(ACTIONS))


def followed(logits: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Of every path: log-probabilities `[9, 2]`, rewards `[9, 2]`, its probability and the states."""
    actions = paths()
    second = MOVES[0, actions[:, 0]]
    log_prob = logits.log_softmax(-1)
    steps = torch.stack([log_prob[0, actions[:, 0]], log_prob[second, actions[:, 1]]], 1)
    reward = torch.stack([REWARD[0, actions[:, 0]], REWARD[second, actions[:, 1]]], 1)
    return steps, reward, steps.sum(1).exp(), torch.stack([torch.zeros_like(second), second], 1)


def expected_return(logits: Tensor) -> Tensor:
    _, reward, chance, _ = followed(logits)
    return (chance * reward.sum(1)).sum()


def weighted(loss: partial, chance: Tensor) -> Tensor:
    """The expectation over paths of a loss that is a mean over their steps."""
    return torch.stack([weight * loss(path) for path, weight in enumerate(chance.detach())]).sum()


def gradient(value: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(value, logits, retain_graph=True)[0]


@pytest.mark.parametrize("kind", ["policy gradient", "clipped"])
def test_the_expected_gradient_is_that_of_the_expected_return(logits: Tensor, kind: str) -> None:
    """With rewards to go less any baseline of the state, over all paths; a mean over two steps is half of the sum."""
    log_prob, reward, chance, states = followed(logits)
    baseline = torch.tensor([0.7, -0.4], dtype=torch.float64)[states]
    advantage = reward.flip(1).cumsum(1).flip(1) - baseline

    def loss(path: int) -> Tensor:
        if kind == "policy gradient":
            return policy_gradient_loss(log_prob[path], advantage[path])
        return clipped_policy_loss(log_prob[path], log_prob[path].detach(), advantage[path], 0.2)

    found = gradient(weighted(loss, chance), logits)
    torch.testing.assert_close(found, -gradient(expected_return(logits), logits) / 2)


@pytest.mark.parametrize("behaviour", ["its own", "another policy's"])
def test_sampled_entropy_and_its_gradient_are_unbiased(logits: Tensor, behaviour: str) -> None:
    log_prob = logits[0].log_softmax(-1)
    shown = log_prob.detach() if behaviour == "its own" else torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    exact = -(log_prob.exp() * log_prob).sum()
    estimates = torch.stack([sampled_entropy(log_prob[i : i + 1], shown[i : i + 1]) for i in range(ACTIONS)])
    found = (shown.exp() * estimates).sum()
    torch.testing.assert_close(found, exact)
    torch.testing.assert_close(gradient(found, logits), gradient(exact, logits))


def steps_of(log_ratio: list[float], advantage: list[float], value: list[float] | None = None) -> ActorCriticSteps:
    ratio = torch.tensor(log_ratio, requires_grad=True)
    given = torch.tensor(value or [0.0] * len(log_ratio))
    return ActorCriticSteps(ratio, torch.zeros(len(log_ratio)), torch.tensor(advantage), given, torch.ones(len(given)))


def test_what_is_far_enough_in_the_right_direction_is_left_alone() -> None:
    """Ratios e^.5 and e^−.5 leave 1 ± .2: only where the advantage still pulls back is there a gradient."""
    steps = steps_of([0.5, 0.5, -0.5, -0.5, 0.0], [1.0, -1.0, 1.0, -1.0, 1.0])
    loss = clipped_policy_loss(steps.log_prob, steps.behaviour_log_prob, steps.advantage, 0.2)
    [slope] = torch.autograd.grad(loss, steps.log_prob)
    expected = torch.tensor([0.0, 0.5, -0.5, 0.0, 0.0]).exp() * torch.tensor([0.0, 1.0, -1.0, 0.0, -1.0]) / 5
    torch.testing.assert_close(slope, expected)
    assert loss.item() == pytest.approx(-(1.2 - 1.6487213 + 0.6065307 - 0.8 + 1.0) / 5)


def test_the_parts_add_up_and_are_told_one_by_one() -> None:
    steps = steps_of([0.5, -0.1], [1.0, -2.0], value=[3.0, 1.0])
    loss = proximal_policy_optimisation(steps, clip=0.2, value_weight=0.7, entropy_weight=0.1)
    parts = loss.diagnostics
    assert parts["value_loss"].item() == pytest.approx(0.5 * (4 + 0) / 2)
    assert parts["clip_fraction"].item() == 0.5
    assert parts["kl"].item() == pytest.approx(sum(torch.tensor(x).expm1().item() - x for x in (0.5, -0.1)) / 2)
    whole = parts["policy_loss"] + 0.7 * parts["value_loss"] - 0.1 * parts["entropy"]
    assert loss.value.item() == pytest.approx(whole.item())
    plain = advantage_actor_critic(steps, value_weight=0.7, entropy_weight=0.1)
    assert plain.diagnostics["policy_loss"].item() == pytest.approx(-(0.5 * 1.0 + -0.1 * -2.0) / 2)
    assert "clip_fraction" not in plain.diagnostics


def test_the_critic_is_pulled_towards_its_target() -> None:
    value = torch.tensor([1.0, 5.0], requires_grad=True)
    loss = value_loss(value, torch.tensor([2.0, 2.0]))
    assert loss.item() == pytest.approx((0.5 + 4.5) / 2)
    torch.testing.assert_close(torch.autograd.grad(loss, value)[0], torch.tensor([-0.5, 1.5]))
