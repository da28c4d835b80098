from __future__ import annotations

from typing import Any

import pytest
import torch

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
