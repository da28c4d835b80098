"""Every objective's mean gradient over all groups of slates of two slots, against the exact policy gradient.

Four items behind a trie of two levels (codes 2 × 2) make twelve ordered slates. The policy has free logits for the
first slot, and for the second slot after each first item. A slot's reward depends on the item before it, so that the
first slot answers for what the second earns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.objectives.expected_reward import normalised_without_replacement, truncated_expectation, without_replacement
from recsys.objectives.group_relative import dapo, dr_grpo, ecpo, gbpo, grpo, gspo, released_grpo
from recsys.objectives.likelihood import cross_entropy
from recsys.objectives.objective import Objective
from recsys.types.rollout import Rollout

ITEMS, LEVELS = 4, 2
SLATES = torch.tensor(list(permutations(range(ITEMS), 2)))
"""`[12, 2]`, every ordered slate."""
LOGGED = 5
FIRST = torch.tensor([0.3, -0.5, 1.0, 0.0], dtype=torch.float64)
SECOND = torch.tensor(
    [[0.0, 0.6, -0.4, 0.2], [0.1, 0.0, 0.9, -1.0], [0.5, -0.3, 0.0, 0.4], [-0.2, 0.7, 0.3, 0.0]], dtype=torch.float64
)
SLOT_REWARD = torch.stack(
    [
        torch.tensor([0.2, 1.0, -0.5, 0.0], dtype=torch.float64)[SLATES[:, 0]],
        torch.tensor(
            [[0.0, 0.5, -1.0, 0.3], [0.8, 0.0, 0.1, -0.6], [0.4, -0.2, 0.0, 1.0], [-0.7, 0.6, 0.2, 0.0]],
            dtype=torch.float64,
        )[SLATES[:, 0], SLATES[:, 1]],
    ],
    -1,
)
"""`[12, 2]`, of both signs."""
Sampler = Callable[[Tensor], tuple[Tensor, Tensor, Tensor | None]]


def code_log_prob(log_prob: Tensor) -> Tensor:
    """`[..., 4, 2]`: both codes of each item, given the items' log-probabilities."""
    first = log_prob.unflatten(-1, (2, 2)).logsumexp(-1).repeat_interleave(2, -1)
    return torch.stack([first, log_prob - first], -1)


def slate_tokens(first: Tensor, second: Tensor) -> Tensor:
    """`[12, 2, 2]`: log-probability of each code of each slate's slots; the second over the items that are left."""
    left = second.masked_fill(torch.eye(ITEMS, dtype=torch.bool), -1e9).log_softmax(-1)
    tokens = [code_log_prob(first.log_softmax(-1))[SLATES[:, 0]], code_log_prob(left)[SLATES[:, 0], SLATES[:, 1]]]
    return torch.stack(tokens, 1)


def slate_log_prob() -> Tensor:
    return slate_tokens(FIRST, SECOND).flatten(1).sum(-1)


def logits() -> list[Tensor]:
    return [FIRST.clone().requires_grad_(), SECOND.clone().requires_grad_()]


def flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def exact(reward: Tensor) -> Tensor:
    """`∇ Σ π r` over all slates."""
    given = logits()
    chances = slate_tokens(*given).flatten(1).sum(-1).exp()
    assert chances.sum().item() == pytest.approx(1.0)
    return flat(torch.autograd.grad((chances * reward).sum(), given))


def with_replacement(size: int) -> Sampler:
    """All ordered groups of independent slates with their probabilities."""

    def draw(log_prob: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        groups = torch.cartesian_prod(*[torch.arange(len(SLATES))] * size).view(-1, size)
        return groups, log_prob[groups].sum(-1).exp(), None

    return draw


def every_slate(log_prob: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """The one group that holds each slate once."""
    return torch.arange(len(SLATES)).unsqueeze(0), torch.ones(1, dtype=torch.float64), None


def without_replacement_of(size: int, nodes: int = 60) -> Sampler:
    """All sets of slates, times the quadrature over the threshold: see `tests/oracles/test_objectives.py`."""

    def draw(log_prob: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        point, width = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(nodes))
        uniform, weight = ((point + 1) / 2) ** 8, width / 2 * 8 * ((point + 1) / 2) ** 7
        sets = torch.tensor(list(combinations(range(len(SLATES)), size)))
        p = log_prob.exp()[sets]
        inclusion = 1 - uniform[None, :, None] ** (p / (1 - p.sum(-1, keepdim=True)))[:, None, :]
        probability = weight * inclusion.prod(-1)
        return sets.repeat_interleave(nodes, 0), probability.flatten(), inclusion.log().flatten(0, 1)

    return draw


def rollout_of(groups: Tensor, tokens: Tensor, slot_reward: Tensor, by_slot: bool, log_inclusion: Tensor | None):
    return Rollout(
        items=SLATES[groups],
        token_log_prob=tokens[groups],
        behaviour_log_prob=tokens[groups].detach(),
        reward=slot_reward.sum(-1)[groups],
        slot_reward=slot_reward[groups] if by_slot else None,
        logged_log_prob=tokens[LOGGED].expand(len(groups), 2, LEVELS),
        is_logged=groups == LOGGED,
        log_inclusion=log_inclusion,
    )


def steps(objective: Objective, draw: Sampler, slot_reward: Tensor, by_slot: bool) -> tuple[Tensor, Tensor]:
    """`−∇ loss` of every group by itself, `[P, 20]`, and the groups' probabilities.

    The loss of a batch is the mean over its requests; every request gets its own copy of the logits.
    """
    groups, probability, log_inclusion = draw(slate_log_prob())
    assert probability.sum().item() == pytest.approx(1, abs=1e-7)
    tokens = slate_tokens(FIRST, SECOND).requires_grad_()
    group = rollout_of(groups, tokens, slot_reward, by_slot, log_inclusion)
    scores = [group.token_log_prob, group.logged_log_prob]
    slopes = torch.autograd.grad(objective(group).value * len(groups), scores, allow_unused=True)
    of_slate = torch.zeros(len(groups), len(SLATES), 2, LEVELS, dtype=torch.float64)
    if slopes[0] is not None:
        index = groups[..., None, None].expand_as(slopes[0])
        of_slate = of_slate.scatter_add(1, index, slopes[0])
    if slopes[1] is not None:
        of_slate[:, LOGGED] += slopes[1]
    given = logits()
    jacobian = [
        flat(torch.autograd.grad(code, given, retain_graph=True, allow_unused=True, materialize_grads=True))
        for code in slate_tokens(*given).flatten()
    ]
    return -of_slate.flatten(1) @ torch.stack(jacobian), probability


def mean_step(objective: Objective, draw: Sampler, slot_reward: Tensor = SLOT_REWARD, by_slot: bool = True) -> Tensor:
    step, probability = steps(objective, draw, slot_reward, by_slot)
    return probability @ step


def deviation(objective: Objective, draw: Sampler, by_slot: bool) -> float:
    """Root mean squared distance of one group's step from the mean step."""
    step, probability = steps(objective, draw, SLOT_REWARD, by_slot)
    return float((probability * (step - probability @ step).square().sum(-1)).sum().sqrt())


by_slate_and_by_slot = pytest.mark.parametrize("by_slot", [False, True], ids=["slates", "slots"])


@by_slate_and_by_slot
@pytest.mark.parametrize("size", [2, 3])
def test_dr_grpo_has_the_exact_direction_and_is_short_by_its_own_share_of_the_baseline(
    size: int, by_slot: bool
) -> None:
    step = mean_step(dr_grpo, with_replacement(size), by_slot=by_slot)
    assert torch.allclose(step, (size - 1) / size * exact(SLOT_REWARD.sum(-1)), atol=1e-9)


@by_slate_and_by_slot
def test_gbpo_is_exact_where_no_reward_is_negative(by_slot: bool) -> None:
    positive = SLOT_REWARD - SLOT_REWARD.min()
    step = mean_step(gbpo, with_replacement(2), positive, by_slot)
    assert torch.allclose(step, exact(positive.sum(-1)), atol=1e-9)


def test_rewards_of_slots_deviate_less_than_their_sums() -> None:
    draw = with_replacement(3)
    assert deviation(dr_grpo, draw, by_slot=True) < 0.95 * deviation(dr_grpo, draw, by_slot=False)


def test_truncated_expectation_is_exact_on_all_slates() -> None:
    step = mean_step(truncated_expectation, every_slate, by_slot=False)
    assert torch.allclose(step, exact(SLOT_REWARD.sum(-1)), atol=1e-9)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_without_replacement_is_unbiased(size: int) -> None:
    step = mean_step(without_replacement, without_replacement_of(size), by_slot=False)
    assert torch.allclose(step, exact(SLOT_REWARD.sum(-1)), atol=1e-8)


def test_normalising_the_weights_costs_little() -> None:
    step, truth = (
        mean_step(normalised_without_replacement, without_replacement_of(3), by_slot=False),
        SLOT_REWARD.sum(-1),
    )
    assert ((step - exact(truth)).norm() / exact(truth).norm()).item() < 0.06


def test_cross_entropy_is_the_hit_gradient_divided_by_the_logged_slates_probability() -> None:
    hit = torch.nn.functional.one_hot(torch.tensor(LOGGED), len(SLATES)).double()
    step = mean_step(cross_entropy, every_slate)
    assert torch.allclose(step, exact(hit) / slate_log_prob()[LOGGED].exp(), atol=1e-9)


SIMILAR = [("grpo", grpo), ("released", partial(released_grpo, kl_weight=0.0)), ("dapo", dapo), ("gspo", gspo)]


@pytest.mark.parametrize(
    ("objective", "by_slot", "cosine", "length"),
    [
        *(pytest.param(one, False, 0.9758, 1.0880 / 2 / LEVELS, id=f"{name}-slates") for name, one in SIMILAR),
        *(pytest.param(one, True, 0.9705, 1.2081 / 2 / LEVELS, id=f"{name}-slots") for name, one in SIMILAR),
        pytest.param(ecpo, False, 0.9758, 1.0880, id="ecpo-slates"),
        pytest.param(ecpo, True, 0.9705, 1.2081, id="ecpo-slots"),
        pytest.param(gbpo, False, 0.9580, 0.7947, id="gbpo-slates"),
        pytest.param(gbpo, True, 0.9745, 0.9726, id="gbpo-slots"),
    ],
)
def test_the_bias_is_what_the_docstring_says(objective: Objective, by_slot: bool, cosine: float, length: float) -> None:
    """Cosine to the exact policy gradient, and length relative to it, of groups of three."""
    step, truth = mean_step(objective, with_replacement(3), by_slot=by_slot), exact(SLOT_REWARD.sum(-1))
    found = torch.cosine_similarity(step, truth, dim=0).item(), (step.norm() / truth.norm()).item()
    assert found == pytest.approx((cosine, length), abs=1e-4)
