"""Slates of several slots, rewarded as a whole or slot by slot."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.boundary_pair import recast
from recsys.objectives.expected_reward import normalised_without_replacement, truncated_expectation, without_replacement
from recsys.objectives.group_relative import dapo, dr_grpo, ecpo, gbpo, grpo, grpo_sr, gspo, released_grpo
from recsys.objectives.group_terms import centred_advantage, normalised_advantage, returns
from recsys.objectives.lambda_rank import lambda_ndcg
from recsys.objectives.likelihood import cross_entropy
from recsys.objectives.objective import Objective
from recsys.objectives.rl_diagnostics import rl_diagnostics
from recsys.types.rollout import Rollout

MakeRollout = Callable[..., Rollout]
OVER_SLOTS: dict[str, Objective] = {
    "dapo": dapo,
    "dr_grpo": dr_grpo,
    "ecpo": ecpo,
    "gbpo": gbpo,
    "grpo": grpo,
    "gspo": gspo,
    "released_grpo": partial(released_grpo, kl_weight=0.0),
}
OVER_SLATES: dict[str, Objective] = {
    "grpo_sr": grpo_sr,
    "normalised_without_replacement": normalised_without_replacement,
    "truncated_expectation": truncated_expectation,
    "without_replacement": without_replacement,
}
over_slots = pytest.mark.parametrize("objective", OVER_SLOTS.values(), ids=OVER_SLOTS)
of_slates = pytest.mark.parametrize(
    "objective", [*OVER_SLOTS.values(), *OVER_SLATES.values()], ids=[*OVER_SLOTS, *OVER_SLATES]
)
GROUPS = [[(2, 0), (0, 4), (5, 1)], [(1, 3), (3, 4), (0, 2)]]
OLD = torch.tensor([0.4, -0.8, 1.0, 0.2, -0.7, 0.5], dtype=torch.float64)


def whole(group: Rollout) -> Rollout:
    """The same, rewarded slate by slate."""
    return group.replace(slot_reward=None)


def weighed(group: Rollout) -> Rollout:
    return whole(group).replace(log_inclusion=group.behaviour_log_prob.flatten(2).sum(-1) / 2)


def slope_of(objective: Objective, group: Rollout, logits: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(objective(group).value, logits, retain_graph=True)
    return slope


@over_slots
def test_one_slot_is_what_a_slate_is_bit_for_bit(
    objective: Objective, make_rollout: MakeRollout, logits: Tensor
) -> None:
    group = make_rollout([[2, 0, 5, -1], [1, 3, 0, 2]], old=OLD)
    slotted = group.replace(slot_reward=group.reward.unsqueeze(-1))
    assert torch.equal(objective(slotted).value, objective(group).value)
    assert torch.equal(slope_of(objective, slotted, logits), slope_of(objective, group, logits))
    assert objective(slotted).diagnostics == objective(group).diagnostics


@over_slots
@pytest.mark.parametrize("reward", [whole, lambda group: group], ids=["slates", "slots"])
def test_missing_slates_change_neither_value_nor_gradient(
    objective: Objective, reward: Callable[[Rollout], Rollout], make_slates: MakeRollout, logits: Tensor
) -> None:
    """Half a slate is none."""
    full = reward(make_slates(GROUPS, old=OLD))
    padded = reward(make_slates([[*GROUPS[0], (-1, -1)], [*GROUPS[1], (2, -1)]], old=OLD))
    assert torch.isclose(objective(padded).value, objective(full).value)
    slope = slope_of(objective, padded, logits)
    assert slope.abs().max() > 0
    assert torch.allclose(slope, slope_of(objective, full, logits))


@of_slates
def test_missing_slates_get_the_gradient_zero(objective: Objective, make_slates: MakeRollout) -> None:
    group = weighed(make_slates([[*GROUPS[0], (-1, -1)], [(2, -1), *GROUPS[1]], [(-1, -1)] * 4]))
    tokens = group.token_log_prob.detach().clone().requires_grad_()
    loss = objective(group.replace(token_log_prob=tokens))
    (slope,) = torch.autograd.grad(loss.value, tokens)
    assert slope.isfinite().all() and slope.abs().max() > 0
    assert (slope[~group.mask] == 0).all()
    assert all(scalar.isfinite() for scalar in loss.diagnostics.values())


@over_slots
def test_earlier_slots_answer_for_later_ones_and_not_the_other_way(
    objective: Objective, make_slates: MakeRollout
) -> None:
    """Only the first slot earns, then only the second does."""
    group, moved = make_slates(GROUPS), []
    for slot in (0, 1):
        slot_reward = group.slot_reward.clone()
        slot_reward[..., 1 - slot] = 0.0
        only = group.replace(slot_reward=slot_reward, reward=slot_reward.sum(-1))
        (slope,) = torch.autograd.grad(objective(only).value, group.token_log_prob, retain_graph=True)
        moved.append([(slope[:, :, one] != 0).any().item() for one in (0, 1)])
    assert moved == [[True, False], [True, True]]


def test_returns_are_rewards_to_go(make_slates: MakeRollout) -> None:
    group = make_slates([[(2, 4), (0, 3), (-1, -1)]])
    assert returns(group)[0].tolist() == [[1.5, 1.0], [0.6, -0.4], [0.0, 0.0]]
    assert returns(whole(group))[0].tolist() == [[1.5], [0.6], [0.0]]
    assert centred_advantage(group)[0, :2].flatten().tolist() == pytest.approx([0.45, 0.7, -0.45, -0.7])
    assert normalised_advantage(group, 0.0)[0, :2].abs().flatten().tolist() == pytest.approx([0.5**0.5] * 4)


def test_the_value_is_that_of_a_plain_loop(make_slates: MakeRollout) -> None:
    group = make_slates(GROUPS, old=OLD)
    expected = 0.0
    for p in range(2):
        for slot in range(2):
            credit = group.slot_reward[p, :, slot:].sum(-1)
            advantage = (credit - credit.mean()) / (credit.std() + 1e-4)
            for i in range(3):
                for level in range(2):
                    new, before = group.token_log_prob[p, i, slot, level], group.behaviour_log_prob[p, i, slot, level]
                    ratio, a = (new - before).exp().item(), advantage[i].item()
                    gap = (group.reference_log_prob[p, i, slot, level] - new).item()
                    gain = min(ratio * a, min(max(ratio, 0.9), 1.1) * a)
                    expected -= (gain - 0.3 * (torch.tensor(gap).exp().item() - gap - 1)) / 2 / 3 / 2 / 2
    assert grpo(group, clip=0.1, kl_weight=0.3).value.item() == pytest.approx(expected, abs=1e-6)


def test_a_rewarded_slot_is_clipped_by_itself_and_a_rewarded_slate_as_a_whole(make_slates: MakeRollout) -> None:
    """The policy moved in the first slot only, far above the window."""
    group = make_slates(GROUPS)
    moved = group.token_log_prob.clone()
    moved[:, :, 0] += 1.0
    moved = moved.detach().requires_grad_()
    for objective in (gspo, ecpo):
        held = []
        for one in (group, whole(group)):
            slope = torch.autograd.grad(objective(one.replace(token_log_prob=moved)).value, moved)[0]
            good = (returns(one) > returns(one).mean(1, keepdim=True)).expand(-1, -1, 2)
            held.append([(slope[:, :, slot][good[:, :, slot]] == 0).all().item() for slot in (0, 1)])
        assert held == [[True, False], [True, True]]


def test_cross_entropy_is_that_of_the_whole_logged_slate(make_slates: MakeRollout) -> None:
    group = make_slates(GROUPS)
    assert torch.isclose(cross_entropy(group).value, -group.logged_log_prob[0].sum())


def test_diagnostics_count_logged_slates_and_differences_slot_by_slot(make_slates: MakeRollout) -> None:
    swapped = make_slates([[(0, 1), (1, 0)], [(0, 4), (0, 4)]])
    slot_reward = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    group = swapped.replace(slot_reward=slot_reward, reward=slot_reward.sum(-1))
    assert rl_diagnostics(group)["equal_share"] == 0.5
    assert rl_diagnostics(whole(group))["equal_share"] == 1.0
    assert rl_diagnostics(group)["no_hit_share"] == 0.5
    assert rl_diagnostics(group)["reward_mean"] == 1.5
    assert torch.isclose(rl_diagnostics(group)["entropy"], -group.token_log_prob.flatten(2).sum(-1).mean())
    assert "no_hit_share" not in rl_diagnostics(group.replace(is_logged=None))


@pytest.mark.parametrize("name", [*OVER_SLATES, "recast"])
def test_who_cannot_use_rewards_of_slots_says_so(name: str, make_rollout: MakeRollout) -> None:
    group = make_rollout([[2, 0, 5], [1, 3, 0]])
    slotted = group.replace(slot_reward=group.reward.unsqueeze(-1), log_inclusion=torch.zeros_like(group.reward))
    with pytest.raises(ConfigurationError, match=rf"^{name} learns from one reward a slate"):
        {**OVER_SLATES, "recast": recast}[name](slotted)


@pytest.mark.parametrize("objective", [recast, lambda_ndcg])
def test_who_compares_single_items_says_so(objective: Objective, make_slates: MakeRollout) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(objective.__name__) + r".* 2 slots"):
        objective(whole(make_slates(GROUPS)))


@pytest.mark.parametrize("objective", [cross_entropy, grpo_sr, lambda_ndcg, recast])
def test_who_needs_the_logged_answer_says_so(objective: Objective, make_rollout: MakeRollout) -> None:
    group = make_rollout([[2, 0, 5]], logged_log_prob=None, is_logged=None)
    with pytest.raises(ConfigurationError, match=rf"^{objective.__name__} .*logged answer"):
        objective(group)
