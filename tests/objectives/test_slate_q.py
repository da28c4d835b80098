"""Values of slates against every slate of a small world."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from recsys.objectives.slate_q import (
    choice_loss,
    chosen_value,
    item_worth,
    slate_value,
    temporal_difference_loss,
    temporal_difference_target,
)
from recsys.simulate.choice_models import MultinomialLogit

STATES, ITEMS, SLOTS, DISCOUNT = 3, 4, 2, 0.9
GENERATOR = torch.Generator().manual_seed(1)
CHOICE = torch.randn(STATES, ITEMS, generator=GENERATOR, dtype=torch.float64)
REWARD = torch.rand(STATES, ITEMS + 1, generator=GENERATOR, dtype=torch.float64)
REWARD[:, ITEMS] = 0  # of no choice
MOVES = torch.softmax(torch.randn(STATES, ITEMS + 1, STATES, generator=GENERATOR, dtype=torch.float64), -1)
SLATES = torch.tensor(list(itertools.combinations(range(ITEMS), SLOTS)))
ALL = torch.ones(SLOTS, dtype=torch.bool)


def chances(state: int, slate: Tensor) -> Tensor:
    """How likely each item and, last, no choice is, by the simulators' own choice model."""
    found = torch.zeros(ITEMS + 1, dtype=torch.float64)
    every = MultinomialLogit(0.0).choice_log_prob(CHOICE[state, slate].unsqueeze(0), ALL.unsqueeze(0)).exp()[0]
    found[slate] = every[:-1]
    found[ITEMS] = every[-1]
    return found


def item_values(following: Tensor) -> Tensor:
    """`Q(s,i)` of every item and of no choice, given what each next state is worth."""
    return REWARD + DISCOUNT * MOVES @ following


def brute_force(policy: Tensor) -> Tensor:
    """`Q(s,A)` of every slate under a policy over whole slates: no item has a value of its own."""
    chance = torch.stack([torch.stack([chances(state, slate) for slate in SLATES]) for state in range(STATES)])
    reward = (chance * REWARD.unsqueeze(1)).sum(-1)
    moves = torch.einsum("sai,sit->sat", chance, MOVES)
    of_policy = torch.eye(STATES, dtype=torch.float64) - DISCOUNT * torch.einsum("sa,sat->st", policy, moves)
    worth = torch.linalg.solve(of_policy, (policy * reward).sum(-1))
    return reward + DISCOUNT * moves @ worth


def decomposed(values: Tensor) -> Tensor:
    """`Q(s,A)` of every slate from the values of items."""
    choice, value = CHOICE[:, SLATES], values[:, SLATES]
    shown = torch.ones(choice.shape, dtype=torch.bool)
    return slate_value(choice, value, shown, values[:, ITEMS:].expand(-1, len(SLATES)))


def test_the_values_of_all_slates_follow_from_those_of_items() -> None:
    policy = torch.softmax(torch.randn(STATES, len(SLATES), generator=GENERATOR, dtype=torch.float64), -1)
    exact = brute_force(policy)
    torch.testing.assert_close(decomposed(item_values((policy * exact).sum(-1))), exact)


def test_value_iteration_over_items_finds_the_best_slates() -> None:
    """Against policy iteration over whole slates."""
    best = torch.zeros(STATES, len(SLATES), dtype=torch.float64)
    best[:, 0] = 1
    for _ in range(20):
        best = torch.nn.functional.one_hot(brute_force(best).argmax(-1), len(SLATES)).double()
    values = torch.zeros(STATES, ITEMS + 1, dtype=torch.float64)
    for _ in range(400):
        values = item_values(decomposed(values).amax(-1))
    torch.testing.assert_close(decomposed(values), brute_force(best))


def test_the_top_k_rule_is_the_best_single_item_where_all_are_as_likely() -> None:
    values = torch.tensor([1.0, 3.0, 2.0])
    worth = item_worth(torch.zeros(3), values, torch.tensor(0.5))
    alone = slate_value(torch.zeros(3, 1), values.unsqueeze(1), torch.ones(3, 1).bool(), torch.full((3,), 0.5))
    assert torch.equal(worth.argsort(), alone.argsort())


def test_the_top_k_rule_does_not_see_a_constant_added_to_all_values_of_a_state() -> None:
    choice, values = torch.tensor([0.0, 2.0, -1.0]), torch.tensor([4.0, 3.5, 6.0])
    plain = item_worth(choice, values, torch.tensor(3.0))
    torch.testing.assert_close(item_worth(choice + 5, values + 64, torch.tensor(67.0)), plain)
    torch.testing.assert_close(plain, (choice - 2).exp() * (values - 3))
    assert item_worth(torch.tensor([0.0, 200.0]), torch.ones(2), torch.tensor(0.0)).tolist() == [0.0, 1.0]


def test_empty_slots_count_for_nothing_and_an_empty_slate_is_no_choice() -> None:
    choice, value = torch.tensor([[0.0, 9.0], [0.0, 9.0]]), torch.tensor([[4.0, float("nan")], [float("nan")] * 2])
    shown = torch.tensor([[True, False], [False, False]])
    assert slate_value(choice, value, shown, torch.tensor([2.0, 7.0])).tolist() == [3.0, 7.0]


def test_the_chosen_value_is_of_a_slot_or_of_no_choice() -> None:
    values = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert chosen_value(values, torch.tensor([7.0, 8.0, 9.0]), torch.tensor([1, -1, 0])).tolist() == [2.0, 8.0, 5.0]


def test_a_target_looks_one_step_ahead_unless_the_session_is_over() -> None:
    reward, following = torch.tensor([[1.0, 2.0]]), torch.tensor([[10.0, float("nan")]])
    found = temporal_difference_target(reward, following, torch.tensor([[False, True]]), 0.5)
    assert found.tolist() == [[6.0, 2.0]]


def test_losses_are_those_of_their_definitions() -> None:
    assert temporal_difference_loss(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 2.0])) == 1.0
    choice = torch.tensor([[0.0, 0.6931472], [0.0, 0.0], [5.0, 5.0]])
    shown = torch.tensor([[True, True], [True, False], [False, False]])
    found = choice_loss(choice, shown, torch.tensor([1, -1, -1]))
    torch.testing.assert_close(found, -torch.tensor([2 / 4, 1 / 2]).log().mean())


def test_losses_of_nothing_are_zero_with_a_gradient_of_zero() -> None:
    values = torch.zeros(0, requires_grad=True)
    choice = torch.ones(1, 2, requires_grad=True)
    nothing = choice_loss(choice, torch.zeros(1, 2, dtype=torch.bool), torch.tensor([-1]))
    (temporal_difference_loss(values, torch.zeros(0)) + nothing).backward()
    assert nothing == 0 and choice.grad is not None and not choice.grad.any()


@pytest.mark.parametrize("chosen", [0, 1, -1])
def test_the_choice_model_is_that_of_the_simulators(chosen: int) -> None:
    choice, shown = torch.tensor([[0.3, -1.0]]), torch.ones(1, 2, dtype=torch.bool)
    clicks = torch.tensor([[chosen == 0, chosen == 1]])
    expected = -MultinomialLogit(0.0).log_prob(choice, shown, clicks).mean()
    torch.testing.assert_close(choice_loss(choice, shown, torch.tensor([chosen])), expected)
