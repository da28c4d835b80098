"""Every objective's mean gradient over all groups it may be given, against the exact policy gradient.

Six items behind a trie of two levels (codes 2 × 3), a softmax policy with free logits, so that all groups can be listed
with their probabilities. Where an estimator is biased, the test states by how much: the cosine to `∇ Σ π r` and the
length relative to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.objectives.boundary_pair import recast, structural_score
from recsys.objectives.expected_reward import normalised_without_replacement, truncated_expectation, without_replacement
from recsys.objectives.group_preference import best_against_worst
from recsys.objectives.group_relative import dapo, dr_grpo, ecpo, gbpo, grpo, grpo_sr, gspo, released_grpo
from recsys.objectives.group_transforms import informative, insert_logged, recast_repair, shared_codes
from recsys.objectives.lambda_rank import lambda_ndcg
from recsys.objectives.likelihood import cross_entropy
from recsys.objectives.objective import Objective
from recsys.objectives.preference import dpo
from recsys.objectives.weighted_sum import mixture
from recsys.types.preference_pairs import ScoredPairs
from recsys.types.rollout import Rollout

ITEMS, TARGET, LEVELS = 6, 1, 2
LOGITS = torch.tensor([0.3, -0.5, 1.0, 0.0, -1.2, 0.6], dtype=torch.float64)
OLD_LOGITS = torch.tensor([0.0, -0.2, 0.8, 0.4, -1.0, 0.3], dtype=torch.float64)
CODES = torch.tensor([[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])
HIT = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
GRADED = torch.tensor([0.2, 1.0, -0.5, 0.0, 0.6, -1.0], dtype=torch.float64)
PREFERENCE = torch.tensor([1.0, 0.2, 0.5, 0.0, 0.0, 0.0], dtype=torch.float64)
Sampler = Callable[[Tensor], tuple[Tensor, Tensor, Tensor | None]]

group_dpo = partial(best_against_worst, objective=dpo)


def code_log_prob(logits: Tensor) -> Tensor:
    log_prob = logits.log_softmax(-1)
    first = log_prob.view(2, 3).logsumexp(-1).repeat_interleave(3)
    return torch.stack([first, log_prob - first], -1)


def exact(reward: Tensor) -> Tensor:
    logits = LOGITS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((logits.softmax(-1) * reward).sum(), logits)
    return gradient


def with_replacement(size: int) -> Sampler:
    """All ordered draws with their probabilities."""

    def draw(old: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        items = torch.cartesian_prod(*[torch.arange(ITEMS)] * size).view(-1, size)
        return items, old.log_softmax(-1)[items].sum(-1).exp(), None

    return draw


def most_probable(size: int) -> Sampler:
    """The one group of a beam search."""
    return lambda old: (old.argsort(descending=True)[None, :size], torch.ones(1, dtype=torch.float64), None)


def stochastic_beams(size: int, nodes: int = 60) -> Sampler:
    """All sets, times the quadrature over the threshold κ of the Gumbel-top-k draw.

    With p the probabilities, `u = exp(−p(rest) e^−κ)` is uniform for the largest perturbed log-probability of the rest;
    the set is drawn with density `Π_{i in set} (1 − u^{p_i / p(rest)})`, and its inclusion probabilities are those
    factors. `u = v⁸` smooths the end at 0.
    """

    def draw(old: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        point, width = (torch.from_numpy(x) for x in np.polynomial.legendre.leggauss(nodes))
        uniform, weight = ((point + 1) / 2) ** 8, width / 2 * 8 * ((point + 1) / 2) ** 7
        sets = torch.tensor(list(combinations(range(ITEMS), size)))
        p = old.softmax(-1)[sets]
        inclusion = 1 - uniform[None, :, None] ** (p / (1 - p.sum(-1, keepdim=True)))[:, None, :]
        probability = weight * inclusion.prod(-1)
        return sets.repeat_interleave(nodes, 0), probability.flatten(), inclusion.log().flatten(0, 1)

    return draw


def rollout_of(
    items: Tensor, logits: Tensor, old: Tensor, reward: Tensor, log_inclusion: Tensor | None = None
) -> Rollout:
    """Of single items `[P, G]`."""
    tokens, old_tokens = code_log_prob(logits), code_log_prob(old)
    return Rollout(
        items=items.unsqueeze(-1),
        token_log_prob=tokens[items].unsqueeze(2),
        behaviour_log_prob=old_tokens[items].unsqueeze(2).detach(),
        reward=reward[items],
        is_logged=items == TARGET,
        logged_log_prob=tokens[TARGET].expand(len(items), 1, LEVELS),
        reference_log_prob=old_tokens[items].unsqueeze(2).detach(),
        log_inclusion=log_inclusion,
        shared_codes=alike(items),
    )


def alike(items: Tensor) -> Tensor:
    """How many leading codes each of `[P, G]` items shares with the target."""
    return shared_codes(CODES[items].unsqueeze(2), CODES[TARGET].expand(len(items), 1, LEVELS))


def mean_step(
    objective: Objective,
    draw: Sampler,
    reward: Tensor,
    repair: Callable[[Tensor], Tensor] = lambda items: items,
    old: Tensor = LOGITS,
) -> Tensor:
    """The mean of `−∇ loss` over the groups, each weighted by its probability.

    The loss of a batch is the mean over its requests; the gradient with respect to each request's log-probabilities is
    weighted before it goes on to the logits.
    """
    logits = LOGITS.clone().requires_grad_()
    items, probability, log_inclusion = draw(old)
    assert probability.sum().item() == pytest.approx(1, abs=1e-7)
    group = rollout_of(repair(items), logits, old, reward, log_inclusion)
    scores = [group.token_log_prob, group.logged_log_prob]
    slopes = torch.autograd.grad(objective(group).value, scores, retain_graph=True, allow_unused=True)
    weight = (probability * len(items)).view(-1, *[1] * (group.token_log_prob.ndim - 1))
    total = torch.zeros((), dtype=torch.float64)
    for score, slope in zip(scores, slopes, strict=True):
        if slope is not None:
            total = total - (score * slope * weight.view(-1, *[1] * (score.ndim - 1))).sum()
    (gradient,) = torch.autograd.grad(total, logits)
    return gradient


def bias(step: Tensor, reward: Tensor) -> tuple[float, float]:
    """Cosine to the exact policy gradient, and length relative to it."""
    truth = exact(reward)
    return torch.cosine_similarity(step, truth, dim=0).item(), (step.norm() / truth.norm()).item()


def repaired(items: Tensor) -> Tensor:
    target, score = torch.full((len(items), 1), TARGET), structural_score(alike(items), LEVELS)
    return recast_repair(items.unsqueeze(-1), target, score).squeeze(-1)


def with_target(items: Tensor) -> Tensor:
    return insert_logged(items.unsqueeze(-1), torch.full((len(items), 1), TARGET)).squeeze(-1)


def test_the_quadrature_of_stochastic_beams_has_the_inclusion_probabilities_of_sampling_without_replacement() -> None:
    items, probability, _ = stochastic_beams(2)(LOGITS)
    p = LOGITS.softmax(-1)
    one_after_the_other = p[:, None] * p[None] / (1 - p[:, None])
    for first, second in combinations(range(ITEMS), 2):
        drawn = probability[(items == torch.tensor([first, second])).all(-1)].sum()
        expected = one_after_the_other[first, second] + one_after_the_other[second, first]
        assert drawn.item() == pytest.approx(expected.item(), abs=1e-9)


@pytest.mark.parametrize("reward", [HIT, GRADED])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("old", [LOGITS, OLD_LOGITS], ids=["first inner step", "later inner step"])
def test_without_replacement_is_unbiased(reward: Tensor, size: int, old: Tensor) -> None:
    step = mean_step(without_replacement, stochastic_beams(size), reward, old=old)
    assert torch.allclose(step, exact(reward), atol=1e-9)


@pytest.mark.parametrize(("size", "share"), [(2, 0.1438), (3, 0.0596), (4, 0.0266)])
def test_normalising_the_weights_costs_a_bias_that_falls_with_the_group(size: int, share: float) -> None:
    draw = stochastic_beams(size)
    step = mean_step(normalised_without_replacement, draw, GRADED)
    assert ((step - exact(GRADED)).norm() / exact(GRADED).norm()).item() == pytest.approx(share, abs=1e-4)
    assert bias(step, GRADED)[0] > 0.9998
    assert torch.allclose(mean_step(normalised_without_replacement, draw, GRADED + 2), step, atol=1e-9)


def deviation(objective: Objective, draw: Sampler, reward: Tensor) -> float:
    """Root mean squared distance of one group's step from the mean step."""
    items, probability, log_inclusion = draw(LOGITS)
    logits = LOGITS.expand(len(items), -1).clone().requires_grad_()
    log_prob = logits.log_softmax(-1)
    first = log_prob.view(-1, 2, 3).logsumexp(-1).repeat_interleave(3, -1)
    tokens = torch.stack([first, log_prob - first], -1)
    group = replace(
        rollout_of(items, LOGITS, LOGITS, reward, log_inclusion),
        token_log_prob=tokens.gather(1, items.unsqueeze(-1).expand(-1, -1, LEVELS)).unsqueeze(2),
    )
    (slope,) = torch.autograd.grad(objective(group).value * len(items), logits)
    mean = (probability.unsqueeze(-1) * slope).sum(0)
    return (probability * (slope - mean).square().sum(-1)).sum().sqrt().item()


def test_the_baseline_of_the_normalised_form_pays_where_rewards_have_a_common_level() -> None:
    draw = stochastic_beams(3)
    raised = GRADED + 2
    assert deviation(normalised_without_replacement, draw, raised) < 0.4 * deviation(without_replacement, draw, raised)


def test_candidates_without_replacement_deviate_less_than_draws_with_replacement() -> None:
    drawn = deviation(dr_grpo, with_replacement(4), HIT) * 4 / 3
    assert deviation(normalised_without_replacement, stochastic_beams(4), HIT) < drawn


@pytest.mark.parametrize("reward", [HIT, GRADED])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_dr_grpo_has_the_exact_direction_and_is_short_by_its_own_share_of_the_baseline(
    reward: Tensor, size: int
) -> None:
    step = mean_step(dr_grpo, with_replacement(size), reward)
    assert torch.allclose(step, (size - 1) / size * exact(reward), atol=1e-9)


@pytest.mark.parametrize("reward", [HIT, GRADED])
def test_truncated_expectation_is_exact_on_the_whole_legal_set(reward: Tensor) -> None:
    assert torch.allclose(mean_step(truncated_expectation, most_probable(ITEMS), reward), exact(reward), atol=1e-9)


@pytest.mark.parametrize("size", [2, 3])
def test_gbpo_is_exact_where_no_reward_is_negative(size: int) -> None:
    assert torch.allclose(mean_step(gbpo, with_replacement(size), PREFERENCE), exact(PREFERENCE), atol=1e-9)


def test_gbpo_weighs_bad_candidates_by_their_odds() -> None:
    p = LOGITS.softmax(-1)
    weight = torch.where(GRADED < 0, p / torch.maximum(p, 1 - p), 1.0)
    assert torch.allclose(mean_step(gbpo, with_replacement(2), GRADED), exact(weight * GRADED), atol=1e-9)


def test_cross_entropy_is_the_hit_gradient_divided_by_the_targets_probability() -> None:
    step = mean_step(cross_entropy, most_probable(3), HIT)
    assert torch.allclose(step, exact(HIT) / LOGITS.softmax(-1)[TARGET], atol=1e-9)


def test_mixture_adds_its_parts_gradients() -> None:
    parts = {"reward": grpo, "next_item": cross_entropy}
    mixed = partial(mixture, objectives=parts, weights={"reward": 1.0, "next_item": 0.3})
    draw = with_replacement(3)
    expected = mean_step(grpo, draw, GRADED) + 0.3 * mean_step(cross_entropy, draw, GRADED)
    assert torch.allclose(mean_step(mixed, draw, GRADED), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("objective", "draw", "reward", "repair", "cosine", "length"),
    [
        pytest.param(grpo, with_replacement(3), HIT, None, 1.0, 1.1545 / LEVELS, id="grpo-hit"),
        pytest.param(grpo, with_replacement(3), GRADED, None, 0.9881, 1.0775 / LEVELS, id="grpo-graded"),
        pytest.param(grpo, most_probable(4), GRADED, None, 0.8449, 0.9312, id="grpo-beams"),
        pytest.param(grpo, most_probable(5), GRADED, None, 0.9218, 0.8602, id="grpo-more-beams"),
        pytest.param(grpo, with_replacement(3), GRADED, with_target, 0.7114, 0.8978, id="grpo-with-target-added"),
        pytest.param(released_grpo, with_replacement(3), GRADED, None, 0.9881, 1.0775 / LEVELS, id="released"),
        pytest.param(dapo, with_replacement(3), GRADED, None, 0.9881, 1.0775 / LEVELS, id="dapo"),
        pytest.param(gspo, with_replacement(3), GRADED, None, 0.9881, 1.0775 / LEVELS, id="gspo"),
        pytest.param(ecpo, with_replacement(3), HIT, None, 1.0, 1.1545, id="ecpo-hit"),
        pytest.param(ecpo, with_replacement(3), GRADED, None, 0.9881, 1.0775, id="ecpo-graded"),
        pytest.param(dr_grpo, with_replacement(3), GRADED, with_target, 0.7603, 1.5773, id="dr_grpo-with-target-added"),
        pytest.param(gbpo, with_replacement(3), GRADED, None, 0.9104, 0.6031, id="gbpo"),
        pytest.param(
            partial(grpo_sr, target_weight=0.0),
            with_replacement(3),
            PREFERENCE,
            None,
            0.9542,
            0.8025,
            id="grpo_sr-lift",
        ),
        pytest.param(grpo_sr, with_replacement(3), PREFERENCE, None, 0.6135, 1.1058, id="grpo_sr"),
        pytest.param(grpo, with_replacement(3), PREFERENCE, None, 0.9821, 0.8492, id="grpo-preference"),
        pytest.param(recast, with_replacement(3), HIT, None, 0.9769, 1.9090, id="recast"),
        pytest.param(recast, with_replacement(3), HIT, repaired, 0.9495, 3.8749, id="recast-repaired"),
        pytest.param(truncated_expectation, most_probable(4), GRADED, None, 0.8413, 0.8909, id="truncated-4"),
        pytest.param(truncated_expectation, most_probable(5), GRADED, None, 0.9871, 1.0036, id="truncated-5"),
        pytest.param(
            partial(truncated_expectation, temperature=2.0),
            most_probable(6),
            GRADED,
            None,
            0.9798,
            0.5600,
            id="tempered",
        ),
        pytest.param(group_dpo, with_replacement(3), HIT, None, 1.0, 0.3600, id="dpo-hit"),
        pytest.param(
            partial(best_against_worst, objective=dpo),
            with_replacement(3),
            GRADED,
            None,
            0.9861,
            0.1546,
            id="dpo-graded",
        ),
        pytest.param(lambda_ndcg, most_probable(4), HIT, None, 0.9709, 11.8667, id="lambda_ndcg"),
        pytest.param(cross_entropy, most_probable(4), GRADED, None, 0.5757, 4.4592, id="cross_entropy-graded"),
    ],
)
def test_the_bias_is_what_the_docstring_says(
    objective: Objective,
    draw: Sampler,
    reward: Tensor,
    repair: Callable[[Tensor], Tensor] | None,
    cosine: float,
    length: float,
) -> None:
    step = mean_step(objective, draw, reward, repair or (lambda items: items))
    assert bias(step, reward) == pytest.approx((cosine, length), abs=1e-4)


def test_a_policy_gradient_over_beams_learns_nothing_of_a_target_outside_them() -> None:
    for objective in (grpo, truncated_expectation):
        assert mean_step(objective, most_probable(4), HIT).abs().max() == 0
    assert mean_step(lambda_ndcg, most_probable(4), HIT)[TARGET] > 0


def test_dropping_uninformative_groups_divides_by_their_share() -> None:
    items, probability, _ = with_replacement(3)(LOGITS)
    picked = torch.multinomial(probability, 500, replacement=True, generator=torch.Generator().manual_seed(0))
    logits = LOGITS.clone().requires_grad_()
    group = rollout_of(items[picked], logits, LOGITS, HIT)
    kept = informative(group)
    (whole,) = torch.autograd.grad(grpo(group).value, logits, retain_graph=True)
    (dropped,) = torch.autograd.grad(grpo(kept).value, logits)
    share = len(kept.reward) / len(group.reward)
    assert share < 0.5
    assert torch.allclose(dropped * share, whole, atol=1e-12)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_dpo_is_least_at_the_reference_tilted_by_the_reward(beta: float) -> None:
    """Over all pairs, preferred as Bradley and Terry have it: `π ∝ π_ref exp(r / β)`, and nowhere else."""
    items = torch.cartesian_prod(torch.arange(ITEMS), torch.arange(ITEMS))
    reference = OLD_LOGITS.log_softmax(-1)
    preferred = (GRADED[items[:, 0]] - GRADED[items[:, 1]]).sigmoid()
    weight = preferred * reference[items].sum(-1).exp()

    def slope(logits: Tensor) -> Tensor:
        logits = logits.clone().requires_grad_()
        policy, other = (one.log_softmax(-1)[items].unsqueeze(-1) for one in (logits, OLD_LOGITS))
        pairs = ScoredPairs(policy[:, 0], policy[:, 1:], weight, other[:, 0], other[:, 1:])
        return torch.autograd.grad(dpo(pairs, beta=beta).value, logits)[0]

    tilted = reference + GRADED / beta
    assert slope(tilted).abs().max() < 1e-12
    assert slope(reference).abs().max() > 1e-2
    assert slope(tilted + torch.tensor([0.1, 0.0, 0.0, 0.0, 0.0, 0.0])).abs().max() > 1e-4
