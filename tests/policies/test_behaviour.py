from __future__ import annotations

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.policies.baselines.popularity import PopularityPolicy
from recsys.policies.behaviour import BehaviourHead, SlatePropensities, item_log_prob_of
from recsys.policies.feature_network import FeaturePolicy
from recsys.policies.plackett_luce import draw_slates, slot_log_prob
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates

USERS, ITEMS = 3, 4
TRUE = torch.tensor([[0.4, 0.3, 0.2, 0.1], [0.1, 0.1, 0.1, 0.7], [0.25, 0.25, 0.25, 0.25]])


class Table:
    """One-hot features of a user and an item."""

    width = USERS * ITEMS

    def __call__(self, context: Context) -> torch.Tensor:
        return torch.eye(self.width).view(USERS, ITEMS, -1)[context.users]


def requests(users: list[int], excluded: list[list[int]] | None = None) -> Context:
    count = len(users)
    nothing = Jagged.from_rows(excluded) if excluded else Jagged.empty(count)
    return Context(torch.tensor(users), Jagged.empty(count), nothing)


def policy() -> FeaturePolicy:
    torch.manual_seed(0)
    return FeaturePolicy(Table(), hidden=16)


def test_slates_tell_the_probability_of_every_item() -> None:
    items = draw_slates(TRUE.log(), 50, 3, torch.Generator().manual_seed(0))
    slates = Slates(items, slot_log_prob(TRUE.log(), items))
    expected = TRUE.log().gather(1, items.flatten(1)).view(items.shape)
    found = SlatePropensities(policy()).item_log_prob(requests([0, 1, 2]), slates)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_an_empty_slot_has_no_probability_and_changes_nothing() -> None:
    log_prob = torch.tensor([[[0.5, 0.5, 0.3]]]).log()
    whole = item_log_prob_of(Slates(torch.tensor([[[0, 1, 2]]]), log_prob))
    cut = item_log_prob_of(Slates(torch.tensor([[[0, 1, -1]]]), log_prob))
    assert torch.equal(whole[..., :2], cut[..., :2]) and cut[..., 2].isneginf().all()


def test_what_is_left_behind_a_certain_slot_is_not_zero() -> None:
    found = item_log_prob_of(Slates(torch.tensor([[[0, 1]]]), torch.tensor([[[1e-7, 0.0]]])))
    assert found[0, 0, 0] == 0 and found[0, 0, 1] == pytest.approx(-15.94, abs=0.01)


def test_a_learned_head_converges_to_the_counted_probabilities() -> None:
    """Each user is shown each item as often as the behaviour policy would show it, one slot a slate."""
    trained = policy()
    head = BehaviourHead(trained)
    pairs = torch.cartesian_prod(torch.arange(USERS), torch.arange(ITEMS))
    users, items = pairs.repeat_interleave((TRUE.flatten() * 20).round().long(), 0).unbind(1)
    assert torch.bincount(users).tolist() == [20] * USERS
    context, slates = requests(users.tolist()), Slates(items.view(-1, 1, 1), torch.zeros(len(items), 1, 1))
    optimizer = torch.optim.Adam([*head.parameters(), *trained.parameters()], lr=0.1)
    before = [one.clone() for one in trained.parameters()]
    for _ in range(800):
        optimizer.zero_grad()
        (-head.item_log_prob(context, slates).mean()).backward()
        optimizer.step()
    torch.testing.assert_close(head.catalogue_log_prob(requests([0, 1, 2])).exp(), TRUE, rtol=0, atol=0.01)
    assert all(torch.equal(one, other) for one, other in zip(before, trained.parameters(), strict=True)), "detached"


def test_a_head_knows_what_is_legal_and_which_slots_are_empty() -> None:
    head = BehaviourHead(policy())
    found = head.catalogue_log_prob(requests([0, 1], [[2], []]))
    assert found[0, 2].isneginf() and torch.allclose(found.exp().sum(1), torch.ones(2))
    slates = Slates(torch.tensor([[[0, -1]], [[3, 1]]]), torch.zeros(2, 1, 2))
    shown = head.item_log_prob(requests([0, 1], [[2], []]), slates)
    assert shown[0, 0, 1].isneginf() and torch.equal(shown[1, 0], found[1, [3, 1]])


def test_a_head_keeps_no_second_copy_of_the_network() -> None:
    assert set(BehaviourHead(policy()).state_dict()) == {"head.weight", "head.bias"}


def test_a_head_needs_the_state_of_a_network() -> None:
    with pytest.raises(ConfigurationError, match=r"PopularityPolicy has none; choose .*SlatePropensities"):
        BehaviourHead(PopularityPolicy(requests([0]).replace(history=Jagged.from_rows([[0, 1]])), ITEMS))
