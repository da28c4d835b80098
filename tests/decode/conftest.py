from __future__ import annotations

import pytest
import torch

from recsys.items.trie import Trie
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import TableGenerator, ragged_codes


@pytest.fixture
def network() -> TableGenerator:
    """40 items, three levels, nodes of one to five children."""
    return TableGenerator(Trie.from_codes(ragged_codes(items=40, levels=3, codes=5)), scale=2.0)


@pytest.fixture
def requests() -> Context:
    """Nothing excluded, a few, one twice, most, all but one."""
    excluded = [[], [3, 8, 39], [5, 5], list(range(2, 38)), [item for item in range(40) if item != 17]]
    return Context(torch.arange(5), Jagged.empty(5), Jagged.from_rows(excluded))


@pytest.fixture
def restricted(requests: Context) -> Context:
    """The same with candidates, some of them excluded, some named twice."""
    candidates = [[4], [3, 9, 8, 10, 9], list(range(40)), [0, 1, 2, 3, 39], [17, 20]]
    return Context(requests.users, requests.history, requests.excluded, candidates=Jagged.from_rows(candidates))


def exact_log_prob(network: TableGenerator, context: Context) -> torch.Tensor:
    """`[B, N]` in double precision: the whole catalogue, masked and renormalised."""
    catalogue = network.double().catalogue_log_prob(network.encode(context)).detach()
    network.float()
    return catalogue.masked_fill(context.illegal(network.trie.num_items), -torch.inf).log_softmax(-1)
