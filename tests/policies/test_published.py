from __future__ import annotations

import torch

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.items.trie import Trie
from recsys.policies.generative import GenerativePolicy
from recsys.policies.published import PublishedPolicy
from tests.decode.table_generator import VocabularyTableGenerator, ragged_codes

EVERY = torch.arange(12).unsqueeze(0)


def test_it_is_searched_under_the_mask_and_scored_without_it() -> None:
    network = VocabularyTableGenerator(Trie.from_codes(ragged_codes(12, 2, 5)), scale=2.0)
    context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.from_rows([[4, 7]]))
    memory = network.encode(context)
    published, exact = PublishedPolicy(network), GenerativePolicy(network)
    scores = published.log_prob_from(memory, context, EVERY).sum(-1)
    assert scores.exp().sum() < 0.9 < exact.log_prob_from(memory, context, EVERY).sum(-1).exp().sum()
    top = published.top_from(memory, context, 12)
    found = top.items[0, :10, 0]
    assert set(found.tolist()) == set(range(12)) - {4, 7} and (top.items[0, 10:] == -1).all()
    assert torch.allclose(top.log_prob[0, :10, 0], scores[0, found], atol=1e-5)
