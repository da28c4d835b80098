from __future__ import annotations

import itertools

import pytest
import torch

from recsys.data.logs.batches import LoggedSlates
from recsys.errors import RequestError
from recsys.policies.bandits.greedy import EpsilonGreedy, UniformPolicy
from recsys.policies.policy import Policy, SoftmaxPolicy
from recsys.replay.slates.cascade import CascadeDR, RewardToGoMeans, next_probability, with_model
from recsys.replay.slates.distribution_methods import EnumeratedSlates
from recsys.replay.slates.target import SlateTarget
from recsys.types.slates import Slates
from tests.policies.contexts import requests

NUM_ITEMS = 4
SCORES = torch.tensor([0.3, -0.4, 1.2, 0.0])
TARGET = SoftmaxPolicy(lambda context: SCORES.expand(len(context), -1))


@pytest.mark.parametrize(
    "policy", [TARGET, EpsilonGreedy(UniformPolicy(NUM_ITEMS).scorer, 0.4)], ids=["softmax", "greedy"]
)
def test_next_items_are_those_that_the_policy_would_take(policy: Policy) -> None:
    context = requests([[], []], [[], [1]])
    items = torch.tensor([[2, 0, 3], [3, 0, -1]])
    found = next_probability(policy, context, items, NUM_ITEMS)
    scored = policy.log_prob(context, Slates(items.unsqueeze(1), torch.zeros(2, 1, 3)))[:, 0].exp().double()
    own = found.gather(2, items.clamp(min=0).unsqueeze(2)).squeeze(2)
    assert torch.allclose(own, scored, atol=1e-6)
    assert torch.allclose(found.sum(-1), (items >= 0).double(), atol=1e-6)
    assert found[0, 2, 2] == found[0, 2, 0] == found[1, 0, 1] == 0


def test_with_any_model_the_cascade_is_unbiased() -> None:
    """Over every slate that a uniform log may hold, with rewards that depend on the item and the one before."""
    slates = torch.tensor(list(itertools.permutations(range(NUM_ITEMS), 2)))
    generator = torch.Generator().manual_seed(0)
    worth = torch.rand(NUM_ITEMS, NUM_ITEMS, generator=generator, dtype=torch.float64)
    reward = torch.stack([worth.diagonal()[slates[:, 0]], worth[slates[:, 0], slates[:, 1]]], -1)
    rows = torch.arange(len(slates))
    context = requests([[]] * len(rows))
    rounds = SlateTarget(TARGET, logging=UniformPolicy(NUM_ITEMS))(LoggedSlates(rows, slates, reward, context=context))
    chances = EnumeratedSlates(NUM_ITEMS)(TARGET, requests([[]]), 2).probability[0]
    predicted = torch.rand(2, NUM_ITEMS, generator=generator, dtype=torch.float64).expand(len(rows), -1, -1)
    modelled = with_model(rounds, predicted, next_probability(TARGET, context, slates, NUM_ITEMS))
    found = CascadeDR().value(CascadeDR().terms(modelled).sum(0))
    assert float(found) == pytest.approx(float(chances @ reward.sum(-1)), abs=1e-6)
    wrong = with_model(rounds, predicted, torch.full_like(predicted, 1 / NUM_ITEMS))
    assert abs(float(CascadeDR().value(CascadeDR().terms(wrong).sum(0)) - found)) > 0.01


def test_no_row_is_predicted_from_its_own_fold_and_parts_merge() -> None:
    generator = torch.Generator().manual_seed(0)
    items = torch.rand(60, NUM_ITEMS, generator=generator).argsort(-1)[:, :3]
    items[::7, 2] = -1
    reward, fold = torch.rand(60, 3, generator=generator).double() * (items >= 0), torch.arange(60) % 3

    def fitted(rows: slice | torch.Tensor, reward: torch.Tensor) -> RewardToGoMeans:
        return RewardToGoMeans.of(items[rows], reward[rows], fold[rows], folds=3, num_items=NUM_ITEMS)

    whole = fitted(slice(None), reward)
    changed = fitted(slice(None), torch.where((fold == 1).unsqueeze(1), 9.0, reward))
    kept = (whole.predict(torch.arange(3)) - changed.predict(torch.arange(3))).flatten(1).abs().amax(-1) == 0
    assert kept.tolist() == [False, True, False]
    merged = fitted(slice(0, 20), reward) + fitted(slice(20, None), reward)
    assert torch.allclose(merged.predict(fold), whole.predict(fold))
    others = fold != 0
    own = (others & (items[:, 1] == 2)).nonzero().flatten()
    tails, everyone = reward[:, 1:].sum(-1), others & (items[:, 1] >= 0)
    expected = (tails[own].sum() + tails[everyone].mean()) / (len(own) + 1)
    assert whole.predict(torch.tensor([0]))[0, 1, 2] == pytest.approx(float(expected))


def test_one_fold_is_refused() -> None:
    with pytest.raises(RequestError, match="1 folds: expected at least 2"):
        RewardToGoMeans.of(torch.tensor([[0]]), torch.ones(1, 1), torch.tensor([0]), folds=1, num_items=1)
