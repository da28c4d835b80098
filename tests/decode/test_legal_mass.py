from __future__ import annotations

import pytest
import torch

from recsys.decode.legal import LegalSet
from recsys.decode.legal_mass import legal_mass
from recsys.items.trie import Trie
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import TableGenerator, ragged_codes


def log_mass_by_enumeration(network: TableGenerator, context: Context) -> torch.Tensor:
    catalogue = network.catalogue_log_prob(network.encode(context))
    return catalogue.masked_fill(context.illegal(network.trie.num_items), -torch.inf).logsumexp(-1)


@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_total_equals_enumeration_however_little_is_left(scale: float, requests: Context, restricted: Context) -> None:
    network = TableGenerator(Trie.from_codes(ragged_codes(40, 3, 5)), scale=scale).requires_grad_(False)
    for context in (requests, restricted):
        total = legal_mass(network, network.encode(context), LegalSet.of(network.trie, context)).total
        expected = log_mass_by_enumeration(network.double(), context)
        network.float()
        assert torch.allclose(total.double(), expected, rtol=1e-5, atol=1e-5)
        if scale == 30.0:
            assert expected.min() < -20


def test_marks_are_the_legal_share_of_each_subtree(network: TableGenerator, requests: Context) -> None:
    trie, level = network.trie, 1
    legal = LegalSet.of(trie, requests)
    network.double().requires_grad_(False)
    mask = legal_mass(network, network.encode(requests), legal).subtree_masks[level]
    catalogue = network.catalogue_log_prob(network.encode(requests))[:, trie.leaf_item].exp()
    allowed = catalogue.masked_fill(requests.illegal(40)[:, trie.leaf_item], 0.0)
    nodes = torch.arange(trie.level_size[level]).expand(5, -1)
    children = trie.expand(nodes, level)
    low, high = trie.leaf_range(level + 1)
    sums = [torch.nn.functional.pad(p.cumsum(1), (1, 0)) for p in (allowed, catalogue)]
    share = torch.div(*[total[:, high] - total[:, low] for total in sums])
    share = share.gather(1, children.nodes.flatten(1)).view(children.mask.shape)
    found = mask.add_to(torch.zeros(children.mask.shape, dtype=torch.float64), nodes).exp()
    assert torch.allclose(found[children.mask], share[children.mask], atol=1e-9)


def test_gradient_equals_that_of_enumeration(network: TableGenerator, requests: Context, restricted: Context) -> None:
    network.double()
    for context in (requests, restricted):
        legal = LegalSet.of(network.trie, context)
        total = legal_mass(network, network.encode(context), legal).total.sum()
        gradients = torch.autograd.grad(total, list(network.parameters()))
        expected = torch.autograd.grad(log_mass_by_enumeration(network, context).sum(), list(network.parameters()))
        for got, wanted in zip(gradients, expected, strict=True):
            assert torch.allclose(got, wanted, atol=1e-9)


def test_nothing_excluded_costs_no_decoder_step(network: TableGenerator, monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(torch.arange(2), Jagged.empty(2), Jagged.empty(2))
    monkeypatch.setattr(network, "step", None)
    assert legal_mass(network, network.encode(context), LegalSet.of(network.trie, context)).total.tolist() == [0, 0]
