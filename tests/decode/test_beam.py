from __future__ import annotations

import pytest
import torch

from recsys.decode.beam import beam_search, unmasked_beam_search, unmasked_score
from recsys.decode.score import score
from recsys.items.trie import Trie
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.conftest import exact_log_prob
from tests.decode.table_generator import TableGenerator, VocabularyTableGenerator, ragged_codes


def test_as_wide_as_the_catalogue_it_is_the_exact_ranking(
    network: TableGenerator, requests: Context, restricted: Context
) -> None:
    for context in (requests, restricted):
        expected, order = exact_log_prob(network, context).sort(-1, descending=True)
        items, log_prob = beam_search(network, network.encode(context), context, 40)
        legal = ~expected.isneginf()
        assert torch.equal(items, order.masked_fill(~legal, -1))
        assert torch.allclose(log_prob.sum(-1)[legal].double(), expected[legal], atol=1e-5)
        assert log_prob[~legal].isneginf().all()


@pytest.mark.parametrize("beams", [1, 2, 7, 16, 41, 60])
def test_as_many_distinct_legal_items_as_asked_and_there_are(
    beams: int, network: TableGenerator, requests: Context, restricted: Context
) -> None:
    for context in (requests, restricted):
        items, log_prob = beam_search(network, network.encode(context), context, beams)
        assert items.shape == (5, beams) and log_prob.shape == (5, beams, 3)
        illegal = context.illegal(40)
        for row, found in enumerate(items):
            real = found[found >= 0].tolist()
            assert len(set(real)) == len(real) == min(beams, int((~illegal[row]).sum()))
            assert not illegal[row, real].any()
        assert (log_prob.sum(-1).diff(dim=-1).nan_to_num(0) <= 1e-6).all()


def test_log_probabilities_equal_teacher_forced_scores(network: TableGenerator, requests: Context) -> None:
    memory = network.encode(requests)
    items, log_prob = beam_search(network, memory, requests, 16)
    found = items >= 0
    assert torch.allclose(log_prob[found], score(network, memory, requests, items)[found], atol=1e-4)


def test_dead_branches_do_not_crowd_out_living_ones() -> None:
    codes = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    network = TableGenerator(Trie.from_codes(codes))
    with torch.no_grad():
        for table in (*network.tables, network.users):
            table.zero_()
        network.tables[1][:3] = 5.0
        network.users[:] = 5.0
    context = Context(torch.tensor([0]), Jagged.empty(1), Jagged.from_rows([list(range(12))]))
    items, _ = beam_search(network, network.encode(context), context, 2)
    assert set(items[0].tolist()) < {12, 13, 14, 15} and len(set(items[0].tolist())) == 2


def test_of_equal_scores_each_legal_item_is_found_about_equally_often() -> None:
    """With 400 users and 12 of 40 items each, an item is found 120 times; the standard error is 9.2."""
    network = TableGenerator(Trie.from_codes(torch.cartesian_prod(torch.arange(5), torch.arange(8))), scale=0.0)
    users = torch.arange(400)
    context = Context(users, Jagged.empty(400), Jagged.empty(400))
    items, _ = beam_search(network, network.encode(context.replace(users=users * 0)), context, 40)
    counts = torch.bincount(items[:, :12].flatten(), minlength=40)
    assert ((counts - 120).abs() < 45).all()
    again, _ = beam_search(network, network.encode(context.replace(users=users * 0)), context, 40)
    assert torch.equal(items, again)


def test_results_do_not_depend_on_the_batch(network: TableGenerator, requests: Context) -> None:
    memory = network.encode(requests)
    items, log_prob = beam_search(network, memory, requests, 9)
    rows = torch.tensor([4, 1, 1])
    again, log_prob_again = beam_search(network, network.select(memory, rows), requests.select(rows), 9)
    assert torch.equal(items[rows], again)
    assert torch.allclose(log_prob[rows], log_prob_again, atol=1e-6)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_any_depth(levels: int) -> None:
    network = TableGenerator(Trie.from_codes(ragged_codes(7, levels, 8 if levels == 1 else 3)))
    context = Context(torch.arange(2), Jagged.empty(2), Jagged.from_rows([[1], []]))
    order = exact_log_prob(network, context).argsort(-1, descending=True)
    items, _ = beam_search(network, network.encode(context), context, 7)
    assert torch.equal(items[1], order[1]) and torch.equal(items[0, :6], order[0, :6])


EVERY = torch.arange(40).expand(5, -1)


def test_the_score_is_the_sum_over_the_whole_vocabulary(network: TableGenerator, requests: Context) -> None:
    published = VocabularyTableGenerator(network.trie)
    memory = published.encode(requests)
    scores = unmasked_score(published, memory, EVERY)
    own = published.path_log_prob(memory, EVERY)
    assert (scores < own - 1e-3).all()
    assert (scores.sum(-1).exp().sum(-1) < 0.9).all()
    assert unmasked_score(published, memory, torch.full((5, 1), -1)).isneginf().all()
    assert scores.requires_grad


def test_the_search_is_ranked_by_that_score_and_finds_legal_items_only(
    network: TableGenerator, requests: Context
) -> None:
    published = VocabularyTableGenerator(network.trie).requires_grad_(False)
    memory = published.encode(requests)
    scores = unmasked_score(published, memory, EVERY).sum(-1).masked_fill(requests.illegal(40), -torch.inf)
    expected, order = scores.sort(-1, descending=True)
    items, log_prob = unmasked_beam_search(published, memory, requests, 40)
    assert torch.equal(items, order.masked_fill(expected.isneginf(), -1))
    found = items >= 0
    assert torch.allclose(log_prob.sum(-1)[found], expected[found], atol=1e-5)


def test_it_can_rank_otherwise_than_the_policy(network: TableGenerator, requests: Context) -> None:
    published = VocabularyTableGenerator(network.trie, scale=2.0)
    memory = published.encode(requests)
    by_policy = published.path_log_prob(memory, EVERY).sum(-1).argsort(-1)
    assert not torch.equal(by_policy, unmasked_score(published, memory, EVERY).sum(-1).argsort(-1))
