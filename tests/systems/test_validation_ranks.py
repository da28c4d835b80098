from __future__ import annotations

import pytest
import torch

from recsys.errors import ConfigurationError
from recsys.policies.generative import GenerativePolicy
from recsys.systems.validation_ranks import ranks_by_search, ranks_in_catalogue
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.tiny import tiny_generator


@pytest.fixture
def policy() -> GenerativePolicy:
    torch.manual_seed(0)
    return GenerativePolicy(tiny_generator(dropout=0.0).eval(), beams=64)


def requests(excluded: list[list[int]]) -> Context:
    count = len(excluded)
    return Context(torch.arange(count), Jagged.from_rows([[1, 2]] * count), Jagged.from_rows(excluded))


def test_a_search_that_misses_nothing_ranks_as_the_catalogue_does(policy: GenerativePolicy) -> None:
    context, num_items = requests([[], [0, 3]]), policy.network.trie.num_items
    items = torch.arange(num_items).expand(2, -1)
    exact = ranks_in_catalogue(policy, context, items)
    assert torch.equal(ranks_by_search(policy, context, items, depth=num_items).double(), exact)
    assert exact[1, 0] == exact[1, 3] == 0, "not allowed"


def test_items_behind_the_depth_and_missing_items_have_no_rank(policy: GenerativePolicy) -> None:
    context, num_items = requests([[]]), policy.network.trie.num_items
    items = torch.arange(-1, num_items).unsqueeze(0)
    ranks = ranks_by_search(policy, context, items, depth=3)
    assert sorted(ranks[ranks > 0].tolist()) == [1, 2, 3]
    assert ranks[0, 0] == 0


def test_equal_items_share_the_mean_of_their_ranks() -> None:
    network = tiny_generator(dropout=0.0).eval()
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    context, items = requests([[]]), torch.arange(network.trie.num_items).unsqueeze(0)
    policy = GenerativePolicy(network, beams=64)
    found = ranks_by_search(policy, context, items, depth=network.trie.num_items)
    assert torch.equal(found.double(), ranks_in_catalogue(policy, context, items))
    assert len(found.unique()) < len(items[0])


def test_a_depth_below_one_is_refused(policy: GenerativePolicy) -> None:
    with pytest.raises(ConfigurationError, match="depth"):
        ranks_by_search(policy, requests([[]]), torch.tensor([[0]]), depth=0)
