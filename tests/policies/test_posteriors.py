from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
import torch

from recsys.errors import NonFiniteError
from recsys.policies.bandits.greedy import UpperConfidenceBound
from recsys.policies.bandits.posteriors import BetaPosterior, LinearPosterior
from recsys.policies.scorer import OnlineLearner, Posterior, Scorer
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from recsys.types.transition import Transition

ITEMS, WIDTH, USERS = 5, 3, 40


def requests(users: int = USERS) -> Context:
    return Context(torch.arange(users), Jagged.empty(users), Jagged.empty(users))


class Waves:
    """Depend on user and item."""

    width = WIDTH

    def __call__(self, context: Context) -> torch.Tensor:
        grid = torch.arange(ITEMS * WIDTH).view(ITEMS, WIDTH) + context.users.view(-1, 1, 1)
        return (grid * 0.7).sin()


features = Waves()


def shown(seed: int, slots: int = 2) -> tuple[Slates, Feedback]:
    generator = torch.Generator().manual_seed(seed)
    items = torch.rand(USERS, ITEMS, generator=generator).topk(slots).indices.unsqueeze(1)
    items[::5, 0, -1] = -1
    reward = torch.rand(items.shape, generator=generator).round() * (items >= 0)
    return Slates(items, torch.zeros(items.shape)), Feedback.of_reward(reward)


def linear(**options: Any) -> LinearPosterior:
    return LinearPosterior(features, ITEMS, **options)


@pytest.mark.parametrize("posterior", [linear(), BetaPosterior(ITEMS)], ids=["linear", "beta"])
def test_both_are_posteriors_and_a_bound_is_a_scorer_that_learns(posterior: Posterior) -> None:
    assert isinstance(posterior, Posterior)
    assert isinstance(UpperConfidenceBound(posterior), Scorer) and isinstance(
        UpperConfidenceBound(posterior), OnlineLearner
    )


def test_the_linear_posterior_is_ridge_regression_on_every_shown_slot() -> None:
    posterior = linear(prior=2.0, noise=0.5)
    rows, rewards = [], []
    for seed in range(3):
        slates, feedback = shown(seed)
        posterior.update(Transition.one_round(requests(), slates, feedback), torch.Generator().manual_seed(seed))
        seen = slates.items[:, 0] >= 0
        every = features(requests())[torch.arange(USERS).unsqueeze(1), slates.items[:, 0].clamp(min=0)]
        rows.append(every[seen])
        rewards.append(feedback.reward[:, 0][seen])
    x, y = torch.cat(rows).double(), torch.cat(rewards).double()
    covariance = (x.T @ x / 0.25 + torch.eye(WIDTH) / 4).inverse()
    mean = covariance @ x.T @ y / 0.25
    torch.testing.assert_close(posterior.scores(requests()), features(requests()) @ mean.float())
    phi = features(requests()).double()
    expected = torch.einsum("bnf,fg,bng->bn", phi, covariance, phi).sqrt().float()
    torch.testing.assert_close(posterior.deviation(requests()), expected)


@pytest.mark.parametrize("posterior", [linear(pool=20_000), BetaPosterior(ITEMS, pool=20_000)], ids=["linear", "beta"])
def test_draws_have_the_mean_and_spread_of_the_posterior(posterior: Posterior) -> None:
    for seed in range(2):
        posterior.update(Transition.one_round(requests(), *shown(seed)), torch.Generator().manual_seed(seed))
    few = requests(3)
    drawn = posterior.sampled_scores(few, torch.arange(posterior.pool).expand(3, -1))
    torch.testing.assert_close(drawn.mean(1), posterior.scores(few), atol=0.01, rtol=0)
    torch.testing.assert_close(drawn.std(1), posterior.deviation(few), rtol=0.03, atol=0)


def test_draws_before_anything_was_seen_are_those_of_the_prior() -> None:
    few = requests(2)
    posterior = linear(prior=2.0, pool=20_000)
    drawn = posterior.sampled_scores(few, torch.arange(posterior.pool).expand(2, -1))
    torch.testing.assert_close(drawn.std(1), 2 * features(few).norm(dim=-1), rtol=0.03, atol=0)
    posterior = BetaPosterior(ITEMS, clicks=1, skips=3)
    torch.testing.assert_close(posterior.scores(few), torch.full((2, ITEMS), 0.25))


def test_arms_count_clicks_and_skips_of_shown_slots() -> None:
    posterior = BetaPosterior(3)
    slates = Slates(torch.tensor([[[0, 1]], [[0, -1]]]), torch.zeros(2, 1, 2))
    feedback = Feedback.of_reward(torch.tensor([[[4.0, 0.0]], [[0.0, 0.0]]]))
    posterior.update(Transition.one_round(requests(2), slates, feedback), torch.Generator().manual_seed(0))
    assert posterior.counts.tolist() == [[2, 1, 1], [2, 2, 1]]


def test_a_bound_lies_so_many_deviations_above_the_mean() -> None:
    posterior = linear()
    bound = UpperConfidenceBound(posterior, width=1.5).scores(requests())
    torch.testing.assert_close(bound, posterior.scores(requests()) + 1.5 * posterior.deviation(requests()))


def test_what_was_learnt_travels_with_the_state() -> None:
    learnt, fresh = linear(), linear()
    learnt.update(Transition.one_round(requests(), *shown(0)), torch.Generator().manual_seed(0))
    fresh.load_state_dict(learnt.state_dict())
    which = torch.arange(4).expand(USERS, -1)
    assert torch.equal(fresh.sampled_scores(requests(), which), learnt.sampled_scores(requests(), which))
    assert torch.equal(fresh.scores(requests()), learnt.scores(requests()))


class Table:
    """The same features of every item for everybody."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = torch.tensor(rows, dtype=torch.float64)
        self.width = self.rows.shape[1]

    def __call__(self, context: Context) -> torch.Tensor:
        return self.rows.float().expand(len(context), -1, -1)


def taught(
    rows: list[list[float]], updates: int, users: int = 100
) -> tuple[LinearPosterior, torch.Tensor, torch.Tensor]:
    """A posterior after updates on items drawn evenly, with the features and rewards that it saw."""
    table, generator = Table(rows), torch.Generator().manual_seed(0)
    posterior = LinearPosterior(table, len(rows), prior=1.5, noise=0.5)
    seen, earned = [], []
    for _ in range(updates):
        items = torch.randint(len(rows), (users, 1, 1), generator=generator)
        reward = torch.rand(users, 1, 1, generator=generator)
        step = Transition.one_round(
            requests(users), Slates(items, torch.zeros(items.shape)), Feedback.of_reward(reward)
        )
        posterior.update(step, generator)
        seen.append(table.rows.float().double()[items.flatten()])
        earned.append(reward.flatten().double())
    return posterior, torch.cat(seen), torch.cat(earned)


Matrix = list[list[Fraction]]


def exact(rows: torch.Tensor, earned: torch.Tensor, prior: float, noise: float) -> tuple[Matrix, Matrix]:
    """The precision of the weights, and their mean (first column) beside their covariance, in rational arithmetic."""
    width = rows.shape[1]
    x = [[Fraction(value) for value in row] for row in rows.tolist()]
    y = [Fraction(value) for value in earned.tolist()]
    scale = 1 / Fraction(noise) ** 2
    a = [
        [sum(r[i] * r[j] for r in x) * scale + (1 / Fraction(prior) ** 2 if i == j else 0) for j in range(width)]
        for i in range(width)
    ]
    b = [sum(r[i] * one for r, one in zip(x, y, strict=True)) * scale for i in range(width)]
    joined = [[*a[i], b[i], *(Fraction(int(i == j)) for j in range(width))] for i in range(width)]
    for i in range(width):
        joined[i] = [value / joined[i][i] for value in joined[i]]
        for j in range(width):
            if j != i:
                joined[j] = [value - joined[j][i] * own for value, own in zip(joined[j], joined[i], strict=True)]
    return a, [row[width:] for row in joined]


SCALES = {
    "near 1": [[1.0, 0.3, -0.5], [0.2, -0.7, 1.1], [0.4, 0.9, 0.1]],
    "equal, 1e6": [[1e6, 1e6, 1e6]] * 3,
    "two unix times and a constant": [[1.7e9, 1.7e9, 1.0], [1.6e9, 1.6e9, 1.0], [1.5e9, 1.5e9, 1.0]],
    "zero": [[0.0, 0.0], [0.0, 1.0], [0.0, 0.0]],
    "collinear, 1e6": [[1e6, -2e6, 5e5], [2e6, -4e6, 1e6], [-1e6, 2e6, -5e5]],
    "1e-12": [[1e-12, -3e-12], [2e-12, 1e-12], [0.0, 1e-12]],
    "1e6 and 1e-12": [[1e6, 1e-12], [-1e6, 2e-12], [3e6, 0.0]],
    "of every size": [[1e8, 1.0, 1e-6], [0.0, 1.0, 1e-6], [1e8, -1.0, 1e-6]],
}


@pytest.mark.parametrize("rows", SCALES.values(), ids=SCALES)
def test_the_linear_posterior_equals_the_exact_one_at_any_scale(rows: list[list[float]]) -> None:
    compare_with_exact(rows, *taught(rows, updates=12))


@pytest.mark.parametrize("rows", SCALES.values(), ids=SCALES)
def test_a_thousand_updates_lose_nothing(rows: list[list[float]]) -> None:
    compare_with_exact(rows, *taught(rows, updates=1000, users=3))


def compare_with_exact(
    rows: list[list[float]], posterior: LinearPosterior, seen: torch.Tensor, earned: torch.Tensor
) -> None:
    precision, solved = exact(seen, earned, prior=1.5, noise=0.5)
    covariance = torch.tensor([[float(value) for value in row[1:]] for row in solved], dtype=torch.float64)
    half, size = torch.linalg.inv(posterior.root), covariance.diagonal().sqrt()
    assert ((half @ half.T - covariance).abs() <= 1e-4 * size.outer(size)).all()
    off = [Fraction(own) - row[0] for own, row in zip(posterior.mean.tolist(), solved, strict=True)]
    deviations = sum(
        one * value * other
        for one, row in zip(off, precision, strict=True)
        for value, other in zip(row, off, strict=True)
    )
    assert float(deviations) < 1e-6, "the mean is off by less than a thousandth of the posterior's own deviation"
    terms = torch.tensor(rows).double() * torch.tensor([float(row[0]) for row in solved], dtype=torch.float64)
    away = (posterior.scores(requests(1))[0] - terms.sum(1)).abs()
    assert (away <= 1e-5 * terms.abs().amax(1) + 2e-3 * posterior.deviation(requests(1))[0]).all()
    found = posterior.deviation(requests(1))[0].tolist()
    for phi, deviation in zip(torch.tensor(rows).tolist(), found, strict=True):
        products = [
            Fraction(one) * solved[i][j + 1] * Fraction(other)
            for i, one in enumerate(phi)
            for j, other in enumerate(phi)
        ]
        assert deviation == pytest.approx(math.sqrt(sum(products)), rel=0.01)
    assert posterior.draws.isfinite().all()


def test_the_order_of_what_was_seen_does_not_matter_but_for_rounding() -> None:
    steps = [Transition.one_round(requests(), *shown(seed)) for seed in range(3)]
    one, other = linear(), linear()
    for step in steps:
        one.update(step, torch.Generator().manual_seed(0))
    for step in reversed(steps):
        other.update(step, torch.Generator().manual_seed(0))
    torch.testing.assert_close(one.root, other.root)
    assert (one.root.diagonal() > 0).all() and torch.equal(one.root, one.root.triu())
    torch.testing.assert_close(one.precision, one.root.T @ one.root)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("learner", [linear(), BetaPosterior(ITEMS)], ids=["linear", "beta"])
def test_learners_refuse_rewards_that_are_not_finite(learner: LinearPosterior | BetaPosterior, value: float) -> None:
    slates, feedback = shown(0)
    before = {name: state.clone() for name, state in learner.state_dict().items()}
    spoilt = feedback.reward.clone()
    spoilt[7, 0, 1] = value
    with pytest.raises(NonFiniteError, match=f"shown to user 7 is {value}"):
        learner.update(Transition.one_round(requests(), slates, Feedback.of_reward(spoilt)), torch.Generator())
    assert all(torch.equal(state, before[name]) for name, state in learner.state_dict().items())
    learner.update(
        Transition.one_round(requests(), slates, Feedback.of_reward(feedback.reward.where(slates.items >= 0, value))),
        torch.Generator().manual_seed(0),
    )
    assert all(state.isfinite().all() for state in learner.state_dict().values()), "empty slots are not read"
