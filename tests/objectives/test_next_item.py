from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.objectives.next_item import catalogue_cross_entropy, legal_set_cross_entropy, logged_item
from tests.tiny import tiny_generator, tiny_sasrec

REQUESTS = Context(
    users=torch.arange(3),
    history=Jagged.from_rows([[1, 2], [], [7]]),
    excluded=Jagged.from_rows([[1, 2, 9], [], [7]]),
    target=torch.tensor([3, 0, 19]),
)


def test_likelihood_of_the_target_among_all_or_among_the_legal() -> None:
    network = tiny_generator(dropout=0.0)
    memory = network.encode(REQUESTS)
    log_prob = network.catalogue_log_prob(memory)
    target = log_prob.gather(1, torch.tensor([[3], [0], [19]])).squeeze(1)
    excluded = torch.stack([log_prob[0, [1, 2, 9]].exp().sum(), torch.tensor(0.0), log_prob[2, 7].exp()])
    torch.testing.assert_close(catalogue_cross_entropy(network, memory, REQUESTS), -target.mean())
    torch.testing.assert_close(
        legal_set_cross_entropy(network, memory, REQUESTS), -(target - (1 - excluded).log()).mean()
    )


def test_they_agree_where_nothing_is_excluded() -> None:
    network, free = tiny_generator(dropout=0.0), replace(REQUESTS, excluded=Jagged.empty(3))
    memory = network.encode(free)
    torch.testing.assert_close(
        legal_set_cross_entropy(network, memory, free), catalogue_cross_entropy(network, memory, free)
    )


def test_only_the_legal_form_lets_excluded_items_go() -> None:
    """Raising the score of an excluded item, a leaf of its own, costs the catalogue's likelihood alone."""
    network, requests = tiny_sasrec(dropout=0.0), REQUESTS.select(torch.tensor([0]))
    memory = network.encode(requests)
    leaves = memory.nodes[-1].detach().requires_grad_()
    memory = replace(memory, nodes=(leaves,))
    (whole,) = torch.autograd.grad(catalogue_cross_entropy(network, memory, requests), leaves)
    (legal,) = torch.autograd.grad(legal_set_cross_entropy(network, memory, requests), leaves)
    assert float(whole[[1, 2, 9]].norm(dim=1).min()) > 1e-3
    torch.testing.assert_close(legal[[1, 2, 9]], torch.zeros(3, 8), atol=1e-6, rtol=0.0)


def test_requests_without_targets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Context\.target"):
        logged_item(REQUESTS.without_target())
