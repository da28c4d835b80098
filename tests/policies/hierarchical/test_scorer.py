from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from recsys.errors import ConfigurationError
from recsys.policies.hierarchical.critic import SessionCritic
from recsys.policies.hierarchical.flat import FlatPolicy
from recsys.policies.hierarchical.scorer import ConditionedScorer
from tests.policies.hierarchical.test_intent import CONTEXT, ITEMS, VECTORS, network


def scorer() -> ConditionedScorer:
    torch.manual_seed(0)
    found = ConditionedScorer(VECTORS, profile=2, window=2, hidden=4)
    torch.nn.init.normal_(found.bias)
    return found


def test_an_untrained_scorer_is_the_affinity_to_the_history() -> None:
    found = scorer()
    base, novelty = found.parts(CONTEXT)
    taste = normalize(VECTORS[0] + VECTORS[1], dim=0)
    torch.testing.assert_close(base[0], 3 * VECTORS @ taste + found.bias)
    torch.testing.assert_close(base[1], found.bias, msg="an empty history likes nothing")
    torch.testing.assert_close(novelty[0], 1 - (VECTORS[[0, 1]] @ VECTORS.T).amax(0))
    assert novelty[1].tolist() == [1.0] * ITEMS


def test_named_items_have_the_scores_that_they_have_in_the_catalogue() -> None:
    found = scorer()
    torch.nn.init.normal_(found.query[2].weight)
    items = torch.tensor([[3, 0], [7, 7], [2, 5], [1, 6]])
    for whole, part in zip(found.parts(CONTEXT), found.parts(CONTEXT, items), strict=True):
        torch.testing.assert_close(whole.gather(1, items), part)


def test_the_weight_of_novelty_is_linear_in_the_intent() -> None:
    found = scorer()
    found.novelty.data = torch.tensor([1.0, 4.0])
    assert found.weight(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-3.0, 1.0, 5.0]


def test_one_level_takes_the_propensity_for_the_intent() -> None:
    low, propensity = scorer(), network()
    flat = FlatPolicy(propensity, low, sharpness=2.0)
    base, novelty = low.parts(CONTEXT)
    scores = base + low.weight(propensity.propensity(CONTEXT))[:, None] * novelty
    torch.testing.assert_close(flat.catalogue_log_prob(CONTEXT), (2 * scores).log_softmax(-1))
    items = torch.tensor([[3, 0]] * 4)
    torch.testing.assert_close(flat.choice_scores(CONTEXT, items)[:, 0], scores.gather(1, items))
    assert flat.belief(CONTEXT).tolist() == [[0.0]] * 4
    assert flat.begins(CONTEXT).tolist() == [True, True, False, True]
    with pytest.raises(ConfigurationError, match="sharpness"):
        FlatPolicy(propensity, low, sharpness=-1.0)


def test_a_critic_tells_users_sessions_and_steps_apart() -> None:
    torch.manual_seed(0)
    critic = SessionCritic(VECTORS, profile=2, sessions=2, window=2, hidden=4)
    value = critic(CONTEXT)
    assert value.shape == (4,)
    for other in (
        CONTEXT.replace(profile=CONTEXT.profile + 1),
        CONTEXT.replace(step=CONTEXT.step + 1),
        CONTEXT.replace(history_sessions=CONTEXT.history_sessions.masked_fill(CONTEXT.history_sessions == 0, 1)),
    ):
        assert not torch.equal(critic(other), value)
    with pytest.raises(ConfigurationError, match="hidden"):
        SessionCritic(VECTORS, profile=2, hidden=0)
