from __future__ import annotations

import torch

from recsys.policies.feature_network import FeatureCritic, FeatureScorer
from recsys.policies.policy import SoftmaxPolicy
from recsys.simulate.features import TopicFeatures
from recsys.simulate.interest_evolution import InterestContext, InterestEvolution


def context(users: int = 4) -> InterestContext:
    simulator = InterestEvolution(num_items=6)
    return simulator.observe(simulator.reset(users, torch.Generator().manual_seed(0)))


def shuffled(context: InterestContext) -> InterestContext:
    return context.replace(topics=context.topics.flip(1))


def test_items_of_equal_features_score_alike_wherever_they_stand() -> None:
    scorer, seen = FeatureScorer(TopicFeatures(20), hidden=8), context()
    scores = scorer(seen)
    assert scores.shape == (4, 6)
    torch.testing.assert_close(scorer(shuffled(seen)), scores.flip(1))
    assert scores.std() > 0


def test_a_critic_does_not_depend_on_the_order_of_items() -> None:
    critic, seen = FeatureCritic(TopicFeatures(20), hidden=8), context()
    value = critic(seen)
    assert value.shape == (4,) and value.std() > 0
    torch.testing.assert_close(critic(shuffled(seen)), value)


def test_slates_of_the_policy_carry_gradient(generator: torch.Generator) -> None:
    """A slot for which no item is left is impossible, and spoils nobody's gradient."""
    policy, seen = SoftmaxPolicy(FeatureScorer(TopicFeatures(20), hidden=8)), context()
    slates = policy.sample(seen, 1, 8, generator)
    assert (slates.items[..., 6:] == -1).all() and (slates.items[..., :6] >= 0).all()
    log_prob = policy.log_prob(seen, slates)
    torch.testing.assert_close(log_prob, slates.log_prob)
    log_prob.masked_fill(slates.items < 0, 0.0).sum().backward()
    gradients = [parameter.grad for parameter in policy.parameters()]
    assert all(one is not None and one.isfinite().all() for one in gradients)
    assert any(one is not None and one.any() for one in gradients)
