"""REINFORCE against exact gradients: a decision process of two steps is enumerated."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError
from recsys.objectives.reinforce import (
    ConsumedItems,
    off_policy_weight,
    reinforce_loss,
    top_k_reinforce,
    top_k_weight,
)

STATES, ITEMS = 3, 4
MOVES = torch.tensor([[1, 2, 2, 1], [0, 0, 0, 0], [0, 0, 0, 0]])
"""The state that each item leads to from the first one; the process ends after two steps."""
REWARD = torch.tensor([[1.0, 0.5, 0.2, 2.0], [0.3, 2.0, 0.1, 0.4], [1.5, 0.2, 0.9, 0.6]], dtype=torch.float64)
BASELINE = torch.tensor([0.7, 0.4, 1.1], dtype=torch.float64)
BEHAVIOUR = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], [0.25] * 4], dtype=torch.float64).log()
DISCOUNT = 0.8


@pytest.fixture
def logits() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(STATES, ITEMS, generator=generator, dtype=torch.float64).requires_grad_()


def paths() -> list[tuple[int, int, int]]:
    """First item, state that it leads to, second item."""
    return [(a, int(MOVES[0, a]), b) for a, b in itertools.product(range(ITEMS), range(ITEMS))]


def expected_return(log_prob: Tensor) -> Tensor:
    """Of slates of one item, every one of which is consumed."""
    total = log_prob.new_zeros(())
    for first, state, second in paths():
        chance = (log_prob[0, first] + log_prob[state, second]).exp()
        total = total + chance * (REWARD[0, first] + DISCOUNT * REWARD[state, second])
    return total


def expected_loss(log_prob: Tensor, shown_by: Tensor, own: bool) -> Tensor:
    """The objective of each path's two items, averaged over the paths of the policy that shows them.

    Items are weighted one by one, so that what follows and how a state is reached are the shower's: where it is another
    policy, what follows is set to the policy's expectation and the way there weighted by hand.
    """
    total = log_prob.new_zeros(())
    for first, state, second in paths():
        chance = (shown_by[0, first] + shown_by[state, second]).exp().detach()
        later = DISCOUNT * REWARD[state, second]
        follows = later if own else later_value(log_prob, state)
        before = (log_prob[0, first] - shown_by[0, first]).exp().detach()  # how the second state is reached
        items = ConsumedItems(
            torch.stack([log_prob[0, first], log_prob[state, second]]),
            torch.stack([shown_by[0, first], shown_by[state, second]]),
            torch.tensor([1, 1]),
            torch.stack([REWARD[0, first] + follows - BASELINE[0], later - BASELINE[state]]),
        )
        weight = off_policy_weight(items.log_prob, items.behaviour_log_prob, cap=None)
        reach = torch.stack([torch.ones_like(before), before])
        total = total + chance * reinforce_loss(items.log_prob, weight * reach, items.advantage)
    return total


def later_value(log_prob: Tensor, state: int) -> Tensor:
    """What the policy earns in the second step, as seen from the first."""
    return DISCOUNT * (log_prob[state].exp() * REWARD[state]).sum().detach()


@pytest.mark.parametrize("own", [True, False], ids=["its own items", "another policy's"])
def test_with_one_slot_and_no_cap_the_gradient_is_that_of_the_expected_return(logits: Tensor, own: bool) -> None:
    """Whoever shows the items; a mean over two items is half of the sum."""
    log_prob = logits.log_softmax(-1)
    behaviour = log_prob.detach() if own else BEHAVIOUR
    found = torch.autograd.grad(expected_loss(log_prob, behaviour, own), logits, retain_graph=True)[0]
    exact = torch.autograd.grad(expected_return(log_prob), logits)[0]
    torch.testing.assert_close(found, -exact / 2)


def test_on_its_own_items_the_objective_is_the_policy_gradient(logits: Tensor) -> None:
    log_prob = logits.log_softmax(-1)[0]
    advantage, one = REWARD[0] - 0.3, torch.ones(ITEMS, dtype=torch.int64)
    items = ConsumedItems(log_prob, log_prob.detach(), one, advantage)
    found = torch.autograd.grad(top_k_reinforce(items).value, logits, retain_graph=True)[0]
    exact = torch.autograd.grad(-(advantage * log_prob).mean(), logits)[0]
    torch.testing.assert_close(found, exact)


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_the_slate_correction_is_the_gradient_of_being_among_independent_draws(logits: Tensor, slots: int) -> None:
    """Σ_a R(a) (1 − (1 − π_a)^K), by items drawn from another policy."""
    log_prob, behaviour = logits.log_softmax(-1)[0], BEHAVIOUR[0]
    among = 1 - (1 - log_prob.exp()) ** slots
    exact = torch.autograd.grad((REWARD[0] * among).sum(), logits, retain_graph=True)[0]
    every = ConsumedItems(log_prob, behaviour, torch.full((ITEMS,), slots), ITEMS * behaviour.exp() * REWARD[0])
    found = torch.autograd.grad(top_k_reinforce(every, cap=None).value, logits)[0]
    torch.testing.assert_close(found, -exact)


def test_the_slate_weight_is_its_closed_form_and_has_no_gradient() -> None:
    probability = torch.tensor([0.0, 1e-8, 0.25, 1.0], dtype=torch.float64)
    log_prob = probability.log().requires_grad_()
    found = top_k_weight(log_prob, torch.tensor([4, 4, 4, 4]))
    torch.testing.assert_close(found, torch.tensor([4.0, 4 * (1 - 1e-8) ** 3, 4 * 0.75**3, 0.0], dtype=torch.float64))
    assert not found.requires_grad
    assert torch.equal(top_k_weight(log_prob, 1), torch.ones(4, dtype=torch.float64))
    assert top_k_weight(torch.tensor([1e-7]), 3).tolist() == [0.0], "rounding above 0"


def test_the_off_policy_weight_is_capped_and_has_no_gradient() -> None:
    log_prob = torch.tensor([0.0, -1.0, -2.0, -1.0], requires_grad=True)
    behaviour = torch.tensor([-100.0, -1.0, -1.0, float("-inf")])
    found = off_policy_weight(log_prob, behaviour)
    torch.testing.assert_close(found, torch.tensor([math.e**3, 1.0, math.exp(-1), math.e**3]))
    assert not found.requires_grad
    assert off_policy_weight(log_prob, behaviour, None).max() == float("inf")


@pytest.mark.parametrize("cap", [0.0, -1.0, float("nan"), float("inf")])
def test_a_cap_out_of_range_is_refused(cap: float) -> None:
    with pytest.raises(ConfigurationError, match=r"cap=.*expected above 0"):
        off_policy_weight(torch.zeros(1), torch.zeros(1), cap)
    with pytest.raises(ConfigurationError, match=r"cap=.*expected above 0"):
        top_k_reinforce(items_of([0.0]), cap=cap)


def items_of(log_ratio: list[float]) -> ConsumedItems:
    log_prob = torch.full((len(log_ratio),), -1.0, requires_grad=True)
    behaviour = log_prob.detach() - torch.tensor(log_ratio)
    return ConsumedItems(log_prob, behaviour, torch.full((len(log_ratio),), 2), torch.ones(len(log_ratio)))


def test_what_is_watched_tells_how_much_was_capped() -> None:
    loss = top_k_reinforce(items_of([5.0, 0.0, -1.0, 4.0]), cap=2.0)
    assert loss.diagnostics["capped"] == 0.5
    torch.testing.assert_close(loss.diagnostics["off_policy_weight"], torch.tensor((2 + 1 + math.exp(-1) + 2) / 4))
    torch.testing.assert_close(loss.diagnostics["top_k_weight"], torch.tensor(2 * (1 - math.exp(-1))))
    assert top_k_reinforce(items_of([5.0]), cap=None).diagnostics["capped"] == 0


def test_without_the_slate_correction_an_item_counts_once() -> None:
    items = items_of([0.0])
    with_it, without = (top_k_reinforce(items, slate_correction=one).value for one in (True, False))
    torch.testing.assert_close(with_it, without * 2 * (1 - math.exp(-1)))


def test_nothing_consumed_is_a_loss_of_zero_with_a_gradient_of_zero() -> None:
    items = items_of([])
    loss = top_k_reinforce(items)
    assert loss.value == 0 and all(one == 0 for one in loss.diagnostics.values())
    loss.value.backward()
    assert items.log_prob.grad is not None and items.log_prob.grad.numel() == 0
