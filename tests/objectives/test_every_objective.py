"""What holds for every objective, whatever it estimates."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from recsys.objectives.boundary_pair import recast
from recsys.objectives.expected_reward import normalised_without_replacement, truncated_expectation, without_replacement
from recsys.objectives.group_preference import best_against_worst
from recsys.objectives.group_relative import dapo, dr_grpo, ecpo, gbpo, grpo, grpo_sr, gspo, released_grpo
from recsys.objectives.lambda_rank import lambda_ndcg
from recsys.objectives.likelihood import cross_entropy
from recsys.objectives.objective import Objective
from recsys.objectives.preference import dpo
from recsys.objectives.rl_diagnostics import rl_diagnostics
from recsys.objectives.weighted_sum import mixture
from recsys.types.rollout import Rollout

OBJECTIVES = {
    "cross_entropy": cross_entropy,
    "dapo": dapo,
    "dpo": partial(best_against_worst, objective=dpo),
    "dr_grpo": dr_grpo,
    "ecpo": ecpo,
    "gbpo": gbpo,
    "grpo": partial(grpo, kl_weight=0.1),
    "grpo_sr": grpo_sr,
    "gspo": gspo,
    "lambda_ndcg": lambda_ndcg,
    "mixture": partial(
        mixture, objectives={"reward": dr_grpo, "next_item": cross_entropy}, weights={"reward": 1.0, "next_item": 0.3}
    ),
    "normalised_without_replacement": normalised_without_replacement,
    "recast": partial(recast, kl_weight=0.1),
    "released_grpo": released_grpo,
    "truncated_expectation": truncated_expectation,
    "without_replacement": without_replacement,
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
MakeRollout = Callable[..., Rollout]


def drawn(make_rollout: MakeRollout, items: list[list[int]], **changes: object) -> Rollout:
    group = make_rollout(items, **changes)
    inclusion = group.behaviour_log_prob.flatten(2).sum(-1) / 2
    return group.replace(log_inclusion=inclusion)


def slope_of(objective: Objective, group: Rollout, logits: Tensor) -> Tensor:
    (slope,) = torch.autograd.grad(objective(group).value, logits, retain_graph=True)
    return slope


@every_objective
def test_missing_candidates_change_neither_value_nor_gradient(
    objective: Objective, make_rollout: MakeRollout, logits: Tensor
) -> None:
    old = logits.detach() + torch.tensor([0.1, -0.3, 0.0, 0.2, 0.5, -0.1], dtype=torch.float64)
    whole = drawn(make_rollout, [[2, 0, 5], [1, 3, 0]], old=old)
    padded = drawn(make_rollout, [[2, 0, 5, -1, -1], [1, 3, 0, -1, -1]], old=old)
    assert torch.isclose(objective(padded).value, objective(whole).value)
    slope = slope_of(objective, padded, logits)
    assert slope.isfinite().all()
    assert slope.abs().max() > 0
    assert torch.allclose(slope, slope_of(objective, whole, logits))


@every_objective
def test_impossible_log_probabilities_of_missing_candidates_get_the_gradient_zero(
    objective: Objective, make_rollout: MakeRollout
) -> None:
    group = drawn(make_rollout, [[2, 0, 5, -1], [1, 3, 0, -1], [-1, -1, -1, -1]])
    tokens = group.token_log_prob.detach().clone().requires_grad_()
    target = group.logged_log_prob.detach().clone().requires_grad_()
    loss = objective(group.replace(token_log_prob=tokens, logged_log_prob=target))
    slopes = torch.autograd.grad(loss.value, [tokens, target], allow_unused=True, materialize_grads=True)
    assert all(slope.isfinite().all() for slope in slopes)
    assert (slopes[0][~group.mask] == 0).all()


@every_objective
def test_a_batch_without_requests_or_without_candidates_is_zero(
    objective: Objective, make_rollout: MakeRollout, logits: Tensor
) -> None:
    group = drawn(make_rollout, [[2, 0, 5]])
    nothing = group.select(torch.zeros(0, dtype=torch.int64))
    for empty in (nothing, drawn(make_rollout, [[-1, -1, -1]], logged_log_prob=torch.full((1, 1, 2), -torch.inf))):
        loss = objective(empty)
        assert loss.value == 0
        assert all(scalar.isfinite() for scalar in loss.diagnostics.values())


@every_objective
def test_a_request_is_not_touched_by_the_others(
    objective: Objective, make_rollout: MakeRollout, logits: Tensor
) -> None:
    rows = [[2, 0, 5], [1, 3, 0]]
    both = slope_of(objective, drawn(make_rollout, rows), logits)
    alone = [slope_of(objective, drawn(make_rollout, [row]), logits) for row in rows]
    assert torch.allclose(both, (alone[0] + alone[1]) / 2)


@every_objective
def test_nothing_is_clipped_at_the_first_inner_step(objective: Objective, make_rollout: MakeRollout) -> None:
    diagnostics = objective(drawn(make_rollout, [[2, 0, 5], [1, 3, 0]])).diagnostics
    clips = [value for name, value in diagnostics.items() if name.endswith("clip_fraction")]
    assert all(value == 0 for value in clips)


@pytest.mark.parametrize("name", ["dapo", "dr_grpo", "ecpo", "grpo", "gspo", "recast"])
def test_the_clip_is_reported_when_the_policy_moved(name: str, make_rollout: MakeRollout, logits: Tensor) -> None:
    old = logits.detach() - torch.tensor([3.0, 0.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    assert OBJECTIVES[name](make_rollout([[2, 0, 5]], old=old)).diagnostics["clip_fraction"] > 0


@every_objective
def test_diagnostics_are_scalars_without_gradient(objective: Objective, make_rollout: MakeRollout) -> None:
    loss = objective(drawn(make_rollout, [[2, 0, 5], [1, 3, 0]]))
    assert loss.value.requires_grad
    assert all(scalar.ndim == 0 and not scalar.requires_grad for scalar in loss.diagnostics.values())


@every_objective
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_whatever_stands_for_the_reward_of_a_missing_candidate_is_not_read(
    objective: Objective, value: float, make_rollout: MakeRollout, logits: Tensor
) -> None:
    zero = drawn(make_rollout, [[2, -1, 0, 5], [-1, 1, 3, 0], [-1, -1, -1, -1]])
    zero = zero.replace(reward=zero.reward.masked_fill(~zero.mask, 0.0))
    other = zero.replace(reward=zero.reward.masked_fill(~zero.mask, value))
    expected, found = objective(zero), objective(other)
    assert torch.equal(found.value, expected.value) and found.value.isfinite()
    assert torch.equal(slope_of(objective, other, logits), slope_of(objective, zero, logits))
    for name, scalar in {**found.diagnostics, **rl_diagnostics(other)}.items():
        assert torch.equal(scalar, {**expected.diagnostics, **rl_diagnostics(zero)}[name]), name


@pytest.mark.parametrize("name", ["dapo", "dr_grpo", "ecpo", "gbpo", "grpo", "gspo", "released_grpo", "dpo"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_nor_is_that_of_the_slots_of_a_missing_slate(
    name: str, value: float, make_slates: MakeRollout, logits: Tensor
) -> None:
    zero = make_slates([[(0, 4), (-1, -1), (2, 1)], [(1, 3), (4, 5), (-1, -1)]])
    fills = {
        one: zero.replace(
            reward=zero.reward.masked_fill(~zero.mask, one),
            slot_reward=zero.slot_reward.masked_fill(~zero.mask.unsqueeze(-1), one),
        )
        for one in (0.0, value)
    }
    losses = [OBJECTIVES[name](one) for one in fills.values()]
    assert torch.equal(losses[0].value, losses[1].value) and losses[1].value.isfinite()
    assert torch.equal(*(slope_of(OBJECTIVES[name], one, logits) for one in fills.values()))
