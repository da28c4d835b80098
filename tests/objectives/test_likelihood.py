from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from recsys.decode.normalisation import Conditional, Normalisation, StepByStep
from recsys.objectives.likelihood import (
    NextItemObjective,
    catalogue_cross_entropy,
    cross_entropy,
    item_cross_entropy,
    legal_set_cross_entropy,
)
from recsys.policies.autoregressive import AutoregressiveSlatePolicy
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged
from recsys.types.rollout import Rollout
from recsys.types.slates import Slates
from tests.tiny import tiny_generator, tiny_sasrec


def test_the_value_is_the_mean_negative_log_likelihood(make_rollout: Callable[..., Rollout]) -> None:
    target = torch.tensor([[[0.5, 0.5]], [[0.25, 1.0]]], dtype=torch.float64).log()
    loss = cross_entropy(make_rollout([[2], [3]], logged_log_prob=target))
    assert loss.value.item() == pytest.approx(-torch.tensor(0.25).log().item())
    assert loss.diagnostics["target_log_prob"] == -loss.value


def test_targets_outside_the_legal_set_are_left_out(make_rollout: Callable[..., Rollout]) -> None:
    target = torch.tensor([[[-0.5, -0.5]], [[-0.1, -torch.inf]]], dtype=torch.float64, requires_grad=True)
    loss = cross_entropy(make_rollout([[2], [3]], logged_log_prob=target))
    (slope,) = torch.autograd.grad(loss.value, target)
    assert loss.value.item() == 1.0
    assert slope.tolist() == [[[-1.0, -1.0]], [[0.0, 0.0]]]
    assert loss.diagnostics["illegal_target_share"] == 0.5


REQUESTS = Context(
    users=torch.arange(3),
    history=Jagged.from_rows([[1, 2], [], [7]]),
    excluded=Jagged.from_rows([[1, 2, 9], [], [7]]),
)
EXAMPLES = Example.next_item(REQUESTS, torch.tensor([3, 0, 19]))


def test_likelihood_of_the_target_among_all_or_among_the_legal() -> None:
    network = tiny_generator(dropout=0.0)
    memory = network.encode(REQUESTS)
    log_prob = network.catalogue_log_prob(memory)
    target = log_prob.gather(1, torch.tensor([[3], [0], [19]])).squeeze(1)
    excluded = torch.stack([log_prob[0, [1, 2, 9]].exp().sum(), torch.tensor(0.0), log_prob[2, 7].exp()])
    torch.testing.assert_close(catalogue_cross_entropy(network, memory, EXAMPLES), -target.mean())
    torch.testing.assert_close(
        legal_set_cross_entropy(network, memory, EXAMPLES), -(target - (1 - excluded).log()).mean()
    )


def test_they_agree_where_nothing_is_excluded() -> None:
    network, free = tiny_generator(dropout=0.0), replace(REQUESTS, excluded=Jagged.empty(3))
    memory, examples = network.encode(free), EXAMPLES.replace(context=free)
    torch.testing.assert_close(
        legal_set_cross_entropy(network, memory, examples), catalogue_cross_entropy(network, memory, examples)
    )


def test_only_the_legal_form_lets_excluded_items_go() -> None:
    """Raising the score of an excluded item, a leaf of its own, costs the catalogue's likelihood alone."""
    network, examples = tiny_sasrec(dropout=0.0), EXAMPLES.select(torch.tensor([0]))
    memory = network.encode(examples.context)
    leaves = memory.nodes[-1].detach().requires_grad_()
    memory = replace(memory, nodes=(leaves,))
    (whole,) = torch.autograd.grad(catalogue_cross_entropy(network, memory, examples), leaves)
    (legal,) = torch.autograd.grad(legal_set_cross_entropy(network, memory, examples), leaves)
    assert float(whole[[1, 2, 9]].norm(dim=1).min()) > 1e-3
    torch.testing.assert_close(legal[[1, 2, 9]], torch.zeros(3, 8), atol=1e-6, rtol=0.0)


@pytest.mark.parametrize("normalisation", [Conditional(), StepByStep()])
def test_slates_are_scored_slot_after_slot(normalisation: Normalisation) -> None:
    """Over the catalogue each slot knows the earlier ones; over the legal set it cannot be one of them either."""
    network = tiny_generator(dropout=0.0)
    items = torch.tensor([[[4, 3]], [[0, 9]], [[3, 8]]])
    examples, memory = EXAMPLES.replace(slates=Slates(items, torch.zeros(items.shape))), network.encode(REQUESTS)
    by_slot = network.slate_log_prob(memory, items).sum(-1)
    assert torch.isclose(catalogue_cross_entropy(network, memory, examples), -by_slot.sum((1, 2)).mean())
    policy = AutoregressiveSlatePolicy(network, normalisation=normalisation)
    legal = policy.log_prob(REQUESTS, examples.slates).sum((1, 2))
    loss = legal_set_cross_entropy(network, memory, examples, normalisation=normalisation)
    assert torch.isclose(loss, -legal.mean())
    alone = network.path_log_prob(memory, items.squeeze(1)).sum(-1)
    assert torch.isclose(item_cross_entropy(network, memory, examples), -alone.sum(1).mean())
    assert not torch.isclose(alone.sum(1), by_slot.sum((1, 2))).all(), "items of a session see each other"


def test_for_single_items_all_three_agree_where_nothing_is_excluded() -> None:
    network = tiny_generator(dropout=0.0)
    free = Context(REQUESTS.users, REQUESTS.history, Jagged.empty(len(REQUESTS)))
    examples, memory = EXAMPLES.replace(context=free), network.encode(free)
    values = [one(network, memory, examples) for one in (catalogue_cross_entropy, item_cross_entropy)]
    torch.testing.assert_close(values[0], values[1])
    torch.testing.assert_close(values[0], legal_set_cross_entropy(network, memory, examples))


@pytest.mark.parametrize("objective", [catalogue_cross_entropy, item_cross_entropy, legal_set_cross_entropy])
def test_slots_without_an_item_count_as_none(objective: NextItemObjective) -> None:
    network = tiny_generator(dropout=0.0)
    items = torch.tensor([[[4, 3, -1]], [[0, -1, -1]], [[3, 8, 5]]])
    examples = EXAMPLES.replace(slates=Slates(items, torch.zeros(items.shape)))
    each = []
    for row, slots in enumerate((2, 1, 3)):
        one = examples.select(torch.tensor([row]))
        one = one.replace(slates=Slates(one.slates.items[..., :slots], one.slates.log_prob[..., :slots]))
        each.append(objective(network, network.encode(one.context), one))
    torch.testing.assert_close(objective(network, network.encode(REQUESTS), examples), torch.stack(each).mean())
