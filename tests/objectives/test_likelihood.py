from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from recsys.objectives.likelihood import catalogue_cross_entropy, cross_entropy, legal_set_cross_entropy
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


def test_slates_of_several_items_are_refused() -> None:
    network, two = tiny_generator(dropout=0.0), torch.zeros(3, 1, 2)
    examples = EXAMPLES.replace(slates=Slates(two.long(), two))
    with pytest.raises(ValueError, match="one logged item a request"):
        legal_set_cross_entropy(network, network.encode(REQUESTS), examples)
