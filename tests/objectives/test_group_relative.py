from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.group_relative import (
    bounded_log_ratio,
    dapo,
    dr_grpo,
    early_clipped_log_ratio,
    ecpo,
    gbpo,
    grpo,
    grpo_sr,
    gspo,
    lifted_to_best,
    released_grpo,
)
from recsys.objectives.group_terms import behaviour_log_prob, group_normalised
from recsys.objectives.likelihood import cross_entropy
from recsys.types.rollout import Rollout


def test_groups_of_one_size_give_what_grpo_gives(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    group = make_rollout([[2, 0, 5], [1, 3, 0]], old=logits.detach() + 0.05 * logits.detach().flip(0))
    loss = dapo(group, clip_low=0.1, clip_high=0.1).value
    assert torch.isclose(loss, grpo(group, clip=0.1).value)


def test_candidates_weigh_the_same_across_requests(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    old = torch.tensor([0.1, 0.0, 0.0, -0.1, 0.2, 0.0], dtype=torch.float64) + logits.detach()
    long, short = make_rollout([[2, 0, 5]], old=old), make_rollout([[0, 4, -1]], old=old)
    both = make_rollout([[2, 0, 5], [0, 4, -1]], old=old)
    assert torch.isclose(dapo(both).value, (3 * dapo(long).value + 2 * dapo(short).value) / 5)


def test_the_windows_two_ends_are_set_apart(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    old = logits.detach().clone()
    old[0] -= 0.4
    group = make_rollout([[2, 0, 5]], old=old)
    narrow, wide = (dapo(group, clip_low=0.9, clip_high=high) for high in (0.05, 0.5))
    assert narrow.diagnostics["clip_fraction"] > wide.diagnostics["clip_fraction"] == 0
    slopes = [torch.autograd.grad(loss.value, group.token_log_prob, retain_graph=True)[0] for loss in (narrow, wide)]
    assert (slopes[0][0, 1] == 0).any()
    assert (slopes[1][0, 1] != 0).all()


def test_the_slope_is_the_centred_reward(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 1, -1]])
    (slope,) = torch.autograd.grad(dr_grpo(group).value, group.token_log_prob)
    assert slope[0, :, 0, 0].tolist() == pytest.approx([0.0, -0.5 / 3, 0.5 / 3, 0.0])
    assert torch.equal(slope[..., 0], slope[..., 1])


def test_a_larger_reward_moves_more(make_rollout: Callable[..., Rollout]) -> None:
    reward = torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0, 0.2], dtype=torch.float64)
    group, tenfold = make_rollout([[2, 0, 1]]), make_rollout([[2, 0, 1]], reward=10 * reward)
    slopes = [torch.autograd.grad(dr_grpo(g).value, g.token_log_prob)[0] for g in (group, tenfold)]
    assert torch.allclose(10 * slopes[0], slopes[1])


def test_clip_is_read(make_rollout: Callable[..., Rollout], logits: torch.Tensor) -> None:
    group = make_rollout([[2, 0, 1]], old=logits.detach() * 0.8)
    shares = [dr_grpo(group, clip=clip).diagnostics["clip_fraction"] for clip in (0.01, 5.0)]
    assert shares[0] > shares[1] == 0


def group_with(probability: list[float], old: list[float], reward: list[float]) -> Rollout:
    log_prob = torch.tensor([probability], dtype=torch.float64).log()[..., None, None].requires_grad_()
    behaviour = torch.tensor([old], dtype=torch.float64).log()[..., None, None]
    return Rollout(
        torch.arange(len(old)).view(1, -1, 1), log_prob, behaviour, torch.tensor([reward], dtype=torch.float64)
    )


def test_golden_value_the_ratio_of_a_bad_candidate_stops_at_one_plus_clip_plus_delta() -> None:
    log_prob = torch.tensor([0.5], dtype=torch.float64).log().requires_grad_()
    ratio = early_clipped_log_ratio(log_prob, torch.tensor([0.1], dtype=torch.float64).log(), 0.2, 0.1).exp()
    (slope,) = torch.autograd.grad(ratio.sum(), log_prob)
    assert ratio.item() == pytest.approx(1.3)
    assert slope.item() == pytest.approx(1.3)


def test_golden_gradients_with_a_fivefold_ratio() -> None:
    group = group_with([0.5, 0.1], [0.1, 0.1], [0.0, 1.0])
    loss = ecpo(group, clip=0.2, delta=0.1)
    (slope,) = torch.autograd.grad(loss.value, group.token_log_prob)
    advantage = 0.5 / (0.5**0.5 + 1e-4)
    assert slope.flatten().tolist() == pytest.approx([1.3 * advantage / 2, -advantage / 2])
    assert loss.diagnostics["early_clip_fraction"] == 0.5
    good = group_with([0.5, 0.1], [0.1, 0.1], [1.0, 0.0])
    (slope,) = torch.autograd.grad(ecpo(good).value, good.token_log_prob)
    assert slope[0, 0].item() == 0
    assert ecpo(good).diagnostics["clip_fraction"] == 0.5


def test_small_ratios_stay_as_they_are(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    group = make_rollout([[2, 0, 5]], old=logits.detach() * 0.95)
    old = behaviour_log_prob(group)
    assert torch.allclose(early_clipped_log_ratio(group.log_prob, old, 0.2, 0.1), group.log_prob - old)


def test_delta_moves_the_bound() -> None:
    group = group_with([0.5, 0.1], [0.1, 0.1], [0.0, 1.0])
    slopes = [torch.autograd.grad(ecpo(group, delta=delta).value, group.token_log_prob)[0] for delta in (0.1, 0.4)]
    assert (slopes[1][0, 0] / slopes[0][0, 0]).item() == pytest.approx(1.6 / 1.3)


@pytest.mark.parametrize(
    ("probability", "old", "advantage", "ratio"),
    [
        (0.9, 0.1, -1.0, 9.0),
        (0.9, 0.01, -1.0, 9.0),
        (0.01, 0.9, -1.0, 0.01 / 0.99),
        (0.9, 0.01, 1.0, 1.0),
        (0.2, 0.8, 1.0, 0.25),
        (0.2, 0.5, 0.0, 0.4),
        (1.0, 0.5, -1.0, 2.0),
    ],
)
def test_golden_ratios(probability: float, old: float, advantage: float, ratio: float) -> None:
    values = [torch.tensor([value], dtype=torch.float64) for value in (probability, old, advantage)]
    found = bounded_log_ratio(values[0].log(), values[1].log(), values[2]).exp()
    assert found.item() == pytest.approx(ratio)


def test_a_bad_candidates_gradient_is_that_of_binary_cross_entropy() -> None:
    log_prob = torch.tensor([0.3], dtype=torch.float64).log().requires_grad_()
    old = torch.tensor([0.3], dtype=torch.float64).log()
    ratio = bounded_log_ratio(log_prob, old, torch.tensor([-1.0], dtype=torch.float64)).exp()
    (ours,) = torch.autograd.grad(ratio.sum(), log_prob)
    (theirs,) = torch.autograd.grad(-torch.log1p(-log_prob.exp()).sum(), log_prob)
    assert torch.isclose(ours, theirs)


def test_rewards_are_used_as_they_are(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, -1]])
    (slope,) = torch.autograd.grad(gbpo(group).value, group.token_log_prob)
    assert slope[0, :, 0, 0].tolist() == pytest.approx([-0.25, -0.5, 0.0])
    assert gbpo(group).diagnostics["largest_ratio"].item() == pytest.approx(1.0)


def test_the_value_is_that_of_a_plain_loop(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    old = logits.detach().flip(0)
    group = make_rollout([[2, 0, 5], [1, 3, -1]], old=old)
    rewards = [[0.5, 1.0, 0.2], [0.0, 0.0]]
    expected = 0.0
    for request, rewards_of_group in enumerate(rewards):
        reward = torch.tensor(rewards_of_group, dtype=torch.float64)
        advantage = (reward - reward.mean()) / (reward.std() + 1e-4)
        for candidate, a in enumerate(advantage.tolist()):
            for level in range(2):
                new, before = (
                    group.token_log_prob[request, candidate, 0, level],
                    group.behaviour_log_prob[request, candidate, 0, level],
                )
                ratio = (new - before).exp().item()
                gain = min(ratio * a, min(max(ratio, 0.9), 1.1) * a)
                gap = group.reference_log_prob[request, candidate, 0, level].item() - new.item()
                expected -= (gain - 0.3 * (torch.tensor(gap).exp().item() - gap - 1)) / 2 / len(rewards_of_group) / 2
    assert grpo(group, clip=0.1, kl_weight=0.3).value.item() == pytest.approx(expected, abs=1e-6)


def test_the_released_form_has_the_same_gradient_at_the_first_inner_step(
    make_rollout: Callable[..., Rollout], logits: Tensor
) -> None:
    group = make_rollout([[2, 0, 5], [1, 3, -1]])
    slopes = [
        torch.autograd.grad(loss(group, kl_weight=0.2).value, logits, retain_graph=True)[0]
        for loss in (grpo, released_grpo)
    ]
    assert torch.allclose(*slopes)


def test_the_released_form_forgets_who_drew(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    items = [[2, 0, 5]]
    moved = make_rollout(items, old=logits.detach().flip(0), reference_log_prob=None)
    fresh = make_rollout(items, reference_log_prob=None)
    slopes = [
        torch.autograd.grad(released_grpo(group, kl_weight=0.0).value, logits, retain_graph=True)[0]
        for group in (moved, fresh)
    ]
    assert torch.equal(*slopes)


def test_epsilon_and_kl_weight_are_read(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 5]])
    assert grpo(group, kl_weight=0.1).diagnostics["kl_penalty"] > 0
    assert grpo(group).diagnostics["kl_penalty"] == 0
    assert (
        released_grpo(group, kl_weight=0.2).diagnostics["kl_penalty"]
        > grpo(group, kl_weight=0.1).diagnostics["kl_penalty"]
    )
    for loss in (grpo, released_grpo):
        slopes = [
            torch.autograd.grad(loss(group, kl_weight=0.0, epsilon=e).value, group.token_log_prob, retain_graph=True)[0]
            for e in (1e-4, 10.0)
        ]
        assert slopes[1].norm() < 0.1 * slopes[0].norm()


def test_a_kl_term_needs_a_reference(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 5]], reference_log_prob=None)
    grpo(group)
    for loss in (grpo, released_grpo):
        with pytest.raises(ConfigurationError, match="reference"):
            loss(group, kl_weight=0.1)


PREFERENCE = torch.tensor([0.1, 0.0, 0.9, 0.0, 0.0, 0.2], dtype=torch.float64)


def test_the_logged_item_earns_what_the_best_of_its_group_earns(make_rollout: Callable[..., Rollout]) -> None:
    group = make_rollout([[2, 0, 5, -1], [1, 3, 5, -1]], reward=PREFERENCE)
    assert lifted_to_best(group).tolist() == [[0.9, 0.9, 0.2, 0.0], [0.0, 0.0, 0.2, 0.0]]


def test_the_likelihood_stands_in_for_the_kl_term(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    group = make_rollout([[2, 0, 5]], reward=PREFERENCE, reference_log_prob=None)
    slopes = [
        torch.autograd.grad(loss.value, logits, retain_graph=True)[0]
        for loss in (grpo_sr(group, target_weight=0.5), grpo_sr(group, target_weight=0.0), cross_entropy(group))
    ]
    assert torch.allclose(slopes[0], slopes[1] + 0.5 * slopes[2])


def test_without_the_logged_item_it_is_grpo(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    group = make_rollout([[2, 3, 5]], reward=PREFERENCE)
    slopes = [
        torch.autograd.grad(loss.value, logits, retain_graph=True)[0]
        for loss in (grpo_sr(group, target_weight=0.0, epsilon=0.1), grpo(group, epsilon=0.1))
    ]
    assert torch.allclose(*slopes)


def test_the_first_step_is_grpos(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    group = make_rollout([[2, 0, 5], [1, 3, 0]])
    slopes = [torch.autograd.grad(loss(group).value, logits, retain_graph=True)[0] for loss in (grpo, gspo)]
    assert torch.allclose(*slopes)


def test_the_ratio_is_the_geometric_mean_over_codes(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    group = make_rollout([[2, 0]], old=logits.detach().flip(0))
    ratio = (0.5 * (group.log_prob - behaviour_log_prob(group))).exp()
    advantage = group_normalised(group.reward, group.mask)
    loss = gspo(group, clip_low=0.99, clip_high=100.0)
    assert loss.value.item() == pytest.approx(-(ratio * advantage).mean().item())


def test_a_candidate_is_clipped_as_a_whole(make_rollout: Callable[..., Rollout], logits: Tensor) -> None:
    old = logits.detach().clone()
    old[0] -= 1.0
    group = make_rollout([[2, 0]], old=old)
    (slope,) = torch.autograd.grad(gspo(group).value, group.token_log_prob)
    assert (slope[0, 1] == 0).all()
