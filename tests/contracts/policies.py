"""The policies that `test_policy.py` holds to the contract. Add one: a function that returns it, under `@register`.

A policy is made for `NUM_ITEMS` items and users `0 .. NUM_USERS - 1`; `training_sequences()` is there to fit on.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.items.trie import Trie
from recsys.models.causal_generator import CausalGenerator
from recsys.models.encoder_decoder import EncoderDecoder
from recsys.models.history import HistoryEncoder
from recsys.policies.generative import GenerativePolicy
from recsys.policies.item_knn import ItemKNN
from recsys.policies.mixture import Mixture
from recsys.policies.policy import Policy
from recsys.policies.popularity import Popularity
from recsys.policies.softmax import Softmax
from recsys.policies.transitions import Transitions
from tests.decode.table_generator import TableGenerator, ragged_codes

NUM_ITEMS = 6
NUM_USERS = 4

POLICIES: dict[str, Callable[[], Policy]] = {}


def register(make: Callable[[], Policy]) -> Callable[[], Policy]:
    """Hold what `make` returns to the contract, under the function's name."""
    POLICIES[make.__name__] = make
    return make


def training_sequences() -> Context:
    """One row a user; every item occurs, some often."""
    history = Jagged.from_rows([[0, 1, 2, 3], [1, 2, 0], [5, 1, 2, 4, 0], [3, 1]])
    return Context(torch.arange(NUM_USERS), history, Jagged.empty(NUM_USERS))


@register
def table_generator() -> Policy:
    return GenerativePolicy(TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 3, 2)), NUM_USERS))


@register
def peaked_table_generator() -> Policy:
    network = TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 2, 3)), NUM_USERS, scale=5.0)
    return GenerativePolicy(network)


@register
def causal_generator() -> Policy:
    codes = ragged_codes(NUM_ITEMS, 2, 3)
    encoder = HistoryEncoder(width=8, layers=1, heads=2, dropout=0.0, max_length=6)
    torch.manual_seed(0)
    return GenerativePolicy(CausalGenerator(Trie.from_codes(codes), codes, encoder, max_length=5, initial=0.7))


@register
def encoder_decoder() -> Policy:
    torch.manual_seed(0)
    trie = Trie.from_codes(ragged_codes(NUM_ITEMS, 2, 4))
    return GenerativePolicy(
        EncoderDecoder(trie, width=8, layers=1, heads=2, head_width=4, hidden=16, dropout=0.0, max_length=5)
    )


@register
def popularity() -> Policy:
    return Popularity(training_sequences(), NUM_ITEMS)


@register
def transitions() -> Policy:
    return Transitions(training_sequences(), NUM_ITEMS)


@register
def item_knn() -> Policy:
    return ItemKNN(training_sequences(), NUM_ITEMS)


@register
def softmax() -> Policy:
    scores = torch.randn(NUM_USERS, NUM_ITEMS, generator=torch.Generator().manual_seed(0))
    return Softmax(lambda context: scores[context.users], temperature=0.7)


@register
def mixture() -> Policy:
    network = TableGenerator(Trie.from_codes(ragged_codes(NUM_ITEMS, 3, 2)), NUM_USERS)
    return Mixture([GenerativePolicy(network), Transitions(training_sequences(), NUM_ITEMS)], [0.6, 0.4])
