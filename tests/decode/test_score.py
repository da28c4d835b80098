from __future__ import annotations

import pytest
import torch

from recsys.decode.legal import LegalSet
from recsys.decode.score import BLOCK, LARGEST_SUBTRACTED, log_legal_mass, score
from recsys.errors import EmptyLegalSetError
from recsys.items.trie import Trie
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.conftest import exact_log_prob
from tests.decode.table_generator import TableGenerator, ragged_codes

EVERY = torch.arange(40).expand(5, -1)


@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_equals_masking_and_renormalising_the_catalogue(scale: float, requests: Context, restricted: Context) -> None:
    network = TableGenerator(Trie.from_codes(ragged_codes(40, 3, 5)), scale=scale).requires_grad_(False)
    for context in (requests, restricted):
        expected = exact_log_prob(network, context)
        scores = score(network, network.encode(context), context, EVERY).sum(-1)
        assert torch.equal(scores.isneginf(), context.illegal(40))
        legal = ~scores.isneginf()
        assert torch.allclose(scores[legal].double(), expected[legal], rtol=1e-5, atol=1e-5)
        assert torch.allclose(scores.exp().sum(-1), torch.ones(5), atol=1e-4)


def test_codes_but_the_last_are_the_networks_own(network: TableGenerator, requests: Context) -> None:
    memory = network.encode(requests)
    assert torch.equal(
        score(network, memory, requests, EVERY)[..., :-1], network.path_log_prob(memory, EVERY)[..., :-1]
    )


def test_no_item_has_no_probability(network: TableGenerator, requests: Context) -> None:
    items = torch.full((5, 2), -1)
    assert score(network, network.encode(requests), requests, items)[..., -1].isneginf().all()


def test_gradient_is_that_of_the_renormalised_catalogue(network: TableGenerator, requests: Context) -> None:
    network.double()
    target = torch.tensor([[0], [1], [2], [39], [17]])
    catalogue = network.catalogue_log_prob(network.encode(requests)).masked_fill(requests.illegal(40), -torch.inf)
    expected = torch.autograd.grad(catalogue.log_softmax(-1).gather(1, target).sum(), list(network.parameters()))
    memory = network.encode(requests)
    listed = network.path_log_prob(memory, LegalSet.of(network.trie, requests).padded_items()[0]).sum(-1)
    assert (listed.exp().sum(-1) > 0.9).any(), "both ways to the legal mass are wanted here"
    got = torch.autograd.grad(score(network, memory, requests, target).sum(), list(network.parameters()))
    for own, wanted in zip(got, expected, strict=True):
        assert torch.allclose(own, wanted, atol=1e-9)


def test_illegal_and_missing_items_pass_no_gradient(network: TableGenerator, requests: Context) -> None:
    items = torch.tensor([[-1, 0], [3, 1], [5, -1], [2, 3], [0, 17]])
    scores = score(network, network.encode(requests), requests, items).sum(-1)
    scores.masked_fill(scores.isneginf(), 0.0).sum().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in network.parameters())


def test_gradient_stays_finite_where_the_excluded_items_round_to_everything(requests: Context) -> None:
    network = TableGenerator(Trie.from_codes(ragged_codes(40, 3, 5)), scale=30.0)
    scores = score(network, network.encode(requests), requests, torch.tensor([[0], [1], [2], [39], [17]]))
    scores.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_both_ways_to_the_legal_mass_agree_where_they_meet(network: TableGenerator) -> None:
    excluded = [list(range(count)) for count in range(1, 40)]
    context = Context(torch.zeros(39, dtype=torch.int64), Jagged.empty(39), Jagged.from_rows(excluded))
    memory, legal = network.encode(context), LegalSet.of(network.trie, context)
    mass = log_legal_mass(network, memory, legal)
    assert (mass.diff() < 1e-6).all() and (mass > -0.9).any() and (mass < LARGEST_SUBTRACTED - 3).any()
    catalogue = network.catalogue_log_prob(memory).double().masked_fill(context.illegal(40), -torch.inf)
    assert torch.allclose(mass.double(), catalogue.logsumexp(-1), atol=1e-5)


def test_more_requests_than_a_block_are_scored_as_each_alone(network: TableGenerator, requests: Context) -> None:
    many = requests.select(torch.arange(BLOCK + 44) % 5)
    alone = score(network, network.encode(requests), requests, EVERY)
    together = score(network, network.encode(many), many, EVERY[:1].expand(len(many), -1))
    torch.testing.assert_close(together, alone[torch.arange(len(many)) % 5])


def test_an_empty_legal_set_is_refused(network: TableGenerator) -> None:
    context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.from_rows([list(range(40))]))
    with pytest.raises(EmptyLegalSetError):
        score(network, network.encode(context), context, torch.tensor([[0]]))
