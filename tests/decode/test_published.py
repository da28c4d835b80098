from __future__ import annotations

import torch

from recsys.data.context import Context
from recsys.decode.published import published_beam_search, published_score
from tests.decode.table_generator import TableGenerator, VocabularyTableGenerator

EVERY = torch.arange(40).expand(5, -1)


def test_the_score_is_the_sum_over_the_whole_vocabulary(network: TableGenerator, requests: Context) -> None:
    published = VocabularyTableGenerator(network.trie)
    memory = published.encode(requests)
    scores = published_score(published, memory, EVERY)
    own = published.path_log_prob(memory, EVERY)
    assert (scores < own - 1e-3).all()
    assert (scores.sum(-1).exp().sum(-1) < 0.9).all()
    assert published_score(published, memory, torch.full((5, 1), -1)).isneginf().all()
    assert scores.requires_grad


def test_the_search_is_ranked_by_that_score_and_finds_legal_items_only(
    network: TableGenerator, requests: Context
) -> None:
    published = VocabularyTableGenerator(network.trie).requires_grad_(False)
    memory = published.encode(requests)
    scores = published_score(published, memory, EVERY).sum(-1).masked_fill(requests.illegal(40), -torch.inf)
    expected, order = scores.sort(-1, descending=True)
    items, log_prob = published_beam_search(published, memory, requests, 40)
    assert torch.equal(items, order.masked_fill(expected.isneginf(), -1))
    found = items >= 0
    assert torch.allclose(log_prob.sum(-1)[found], expected[found], atol=1e-5)


def test_it_can_rank_otherwise_than_the_policy(network: TableGenerator, requests: Context) -> None:
    published = VocabularyTableGenerator(network.trie, scale=2.0)
    memory = published.encode(requests)
    by_policy = published.path_log_prob(memory, EVERY).sum(-1).argsort(-1)
    assert not torch.equal(by_policy, published_score(published, memory, EVERY).sum(-1).argsort(-1))
