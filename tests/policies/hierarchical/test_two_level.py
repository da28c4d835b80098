from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import normalize

from recsys.errors import ConfigurationError, RequestError
from recsys.policies.hierarchical.choices import SessionChoices
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.policies.hierarchical.scorer import ConditionedScorer
from recsys.policies.hierarchical.two_level import TwoLevelPolicy
from recsys.policies.latent import LatentPolicy
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, play
from recsys.simulate.novelty_seeking import NoveltySeeking
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.session_context import SessionContext
from recsys.types.slates import Slates

ITEMS, BINS = 8, 3
VECTORS = normalize(torch.randn(ITEMS, 3, generator=torch.Generator().manual_seed(0)), dim=1)
CONTEXT = SessionContext(
    torch.arange(4),
    Jagged.from_rows([[0, 1], [], [4, 2, 2], [7]]),
    Jagged.from_rows([[3], [], [], [0, 1, 2, 3, 4]]),
    profile=torch.randn(4, 2, generator=torch.Generator().manual_seed(1)),
    session=torch.tensor([2, 1, 3, 1]),
    step=torch.tensor([0, 0, 1, 0]),
    history_sessions=torch.tensor([[-1, 0, 1], [-1] * 3, [0, 1, 2], [-1, -1, 0]]),
)


def policy(seed: int = 0) -> TwoLevelPolicy:
    torch.manual_seed(seed)
    scorer = ConditionedScorer(VECTORS, profile=2, window=2, hidden=4)
    torch.nn.init.normal_(scorer.bias)
    scorer.novelty.data = torch.tensor([0.5, 3.0])
    return TwoLevelPolicy(IntentNetwork(VECTORS, 2, BINS, sessions=2, window=2, hidden=4), scorer, 2.0).eval()


def slates(seed: int = 0) -> Slates:
    return policy().sample(CONTEXT, 5, 3, torch.Generator().manual_seed(seed))


def test_the_log_probability_is_that_of_the_mixture_over_the_bins() -> None:
    two, shown = policy(), slates()
    high = two.intent(CONTEXT)
    each = torch.stack([two.log_prob_given(CONTEXT, shown, {"bin": torch.full((4,), one)}) for one in range(BINS)], -1)
    expected = (each.sum(2) + high[:, None]).logsumexp(-1)
    torch.testing.assert_close(two.log_prob(CONTEXT, shown).sum(-1), expected)
    torch.testing.assert_close(shown.slate_log_prob, expected)


def test_novelty_counts_by_the_intent() -> None:
    """With slope 3 and sharpness 2, log-odds of a new and a known item move by 12 (g' − g) times their novelty."""
    two = policy()
    low, high = (two.given(CONTEXT, torch.full((4,), one)) for one in (0, 2))
    novelty = 1 - (VECTORS[[0, 1]] @ VECTORS.T).amax(0)
    gained = (high - low)[0]
    expected = 2 * 6 * (5 / 6 - 1 / 6) * (novelty[5] - novelty[1])
    torch.testing.assert_close(gained[5] - gained[1], expected)


def test_an_intent_is_drawn_where_a_session_begins_and_kept_elsewhere() -> None:
    two, generator = policy(), torch.Generator().manual_seed(0)
    assert isinstance(two, LatentPolicy)
    before = {
        "bin": torch.tensor([0, 1, 2, 1]),
        "log_prob": torch.tensor([-9.0, -8.0, -7.0, -6.0]),
        "begins": torch.zeros(4, dtype=torch.bool),
    }
    drawn = [two.act(CONTEXT, before, 2, generator)[1] for _ in range(400)]
    assert all(one["bin"][2] == 2 and one["log_prob"][2] == -7 for one in drawn)
    assert all(one["begins"].tolist() == [True, True, False, True] for one in drawn)
    share = torch.stack([one["bin"] for one in drawn])
    expected = two.intent(CONTEXT).exp()
    for user in (0, 1, 3):
        seen = torch.bincount(share[:, user], minlength=BINS) / 400
        torch.testing.assert_close(seen, expected[user], atol=0.08, rtol=0)
    _, fresh = two.act(CONTEXT, None, 2, generator)
    assert fresh["begins"].all()
    expected = two.intent(CONTEXT).gather(1, fresh["bin"].unsqueeze(1)).squeeze(1)
    torch.testing.assert_close(fresh["log_prob"], expected)
    assert torch.equal(two.latent_log_prob(CONTEXT, fresh), fresh["log_prob"])
    middles = torch.tensor([1 / 6, 1 / 2, 5 / 6])
    assert all(torch.allclose(one["intent"], middles[one["bin"]]) for one in (*drawn, fresh))


def test_a_slate_has_the_probability_given_the_intent() -> None:
    two = policy()
    shown, latents = two.act(CONTEXT, None, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(shown.log_prob, two.log_prob_given(CONTEXT, shown, latents))


def test_intents_last_for_a_session_of_the_simulator() -> None:
    world = NoveltySeeking(ITEMS, 3, profile=2, sessions=3, session_steps=4, window=2, recent=3, initial=2)
    torch.manual_seed(0)
    two = TwoLevelPolicy(
        IntentNetwork(world.items, 2, 11, sessions=2, window=2, hidden=4), ConditionedScorer(world.items, 2, 2, 4)
    )
    steps = list(play(world, two, EpisodeConfig(30, 12, 2), EpisodeGenerators.seeded(0)))
    bins = torch.stack([step.latents["bin"] for step in steps])
    begins = torch.stack([step.latents["begins"] for step in steps])
    assert begins[::4].all() and begins.sum() == 3 * 30
    for session in bins.split(4):
        assert (session == session[0]).all()
    assert not torch.equal(bins[0], bins[4])


def test_gradients_reach_both_levels() -> None:
    two, shown = policy(), slates()
    torch.nn.init.normal_(two.scorer.query[2].weight)
    two.log_prob(CONTEXT, shown).sum().backward()
    moved = {name: one.grad is not None and bool(one.grad.any()) for name, one in two.named_parameters()}
    assert moved.pop("intent.log_belief_concentration") is False, "the belief is no part of the policy"
    assert all(moved.values()), moved


def test_users_choose_by_the_scores_under_every_intent() -> None:
    two = policy()
    assert isinstance(two, SessionChoices)
    items = torch.tensor([[3, 1], [0, 2], [7, -1], [5, 6]])
    found = two.choice_scores(CONTEXT, items)
    assert found.shape == (4, BINS, 2)
    for one in range(BINS):
        odds = two.given(CONTEXT, torch.full((4,), one)).gather(1, items.clamp(min=0))
        expected = (odds[:, 0] - odds[:, 1]) / 2.0
        both = torch.tensor(
            [False, True, False, False]
        )  # 2 is the sharpness; the others have an item excluded, or none
        torch.testing.assert_close((found[:, one, 0] - found[:, one, 1])[both], expected[both])
    torch.testing.assert_close(two.belief(CONTEXT), two.intent.belief(CONTEXT))
    assert two.begins(CONTEXT).tolist() == [True, True, False, True]


def test_a_sharpness_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="sharpness"):
        TwoLevelPolicy(policy().intent, policy().scorer, sharpness=0.0)


def test_other_requests_are_refused() -> None:
    plain = Context(torch.arange(1), Jagged.empty(1), Jagged.empty(1))
    with pytest.raises(RequestError, match="reads a SessionContext, found a Context"):
        policy().sample(plain, 1, 2, torch.Generator())
    wrong = replace(CONTEXT, history=Jagged.from_rows([[0, 9], [], [4, 2, 2], [7]]))
    with pytest.raises(RequestError, match="history holds item 9"):
        policy().act(wrong, None, 2, torch.Generator())
