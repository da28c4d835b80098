from __future__ import annotations

import torch

from recsys.items.trie import Trie
from recsys.policies.generative import GenerativePolicy
from recsys.policies.network_policy import NetworkPolicy
from tests.decode.table_generator import TableGenerator, ragged_codes
from tests.policies.contexts import requests

ASKED = requests([[], [1, 2]], [[], [1, 2, 39]])


def network() -> TableGenerator:
    return TableGenerator(Trie.from_codes(ragged_codes(items=40, levels=3, codes=5)), scale=2.0)


def test_is_the_network_renormalised_over_the_legal_set() -> None:
    catalogue = network().catalogue_log_prob(network().encode(ASKED)).exp()
    catalogue[1, [1, 2, 39]] = 0
    share = NetworkPolicy(network()).catalogue_log_prob(ASKED).exp()
    torch.testing.assert_close(share, catalogue / catalogue.sum(1, keepdim=True))


def test_ranks_as_a_search_as_wide_as_the_catalogue() -> None:
    exact, searched = NetworkPolicy(network()).top(ASKED, 37), GenerativePolicy(network(), beams=40).top(ASKED, 37)
    assert torch.equal(exact.items, searched.items)
    torch.testing.assert_close(exact.log_prob, searched.log_prob, atol=1e-4, rtol=0)


def test_learns_through_its_network() -> None:
    policy = NetworkPolicy(network())
    policy.catalogue_log_prob(ASKED)[:, 0].sum().backward()
    assert all(parameter.grad is not None for parameter in policy.parameters())
