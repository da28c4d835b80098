from __future__ import annotations

import pytest
import torch

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.decode.beam import beam_search
from recsys.decode.score import score
from recsys.items.trie import Trie
from tests.decode.conftest import exact_log_prob
from tests.decode.table_generator import TableGenerator, ragged_codes


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
    assert items.tolist() == [[12, 13]]


def test_equal_scores_go_to_the_lower_code(requests: Context) -> None:
    network = TableGenerator(Trie.from_codes(torch.cartesian_prod(torch.arange(5), torch.arange(8))), scale=0.0)
    items, _ = beam_search(network, network.encode(requests), requests, 12)
    assert items[0].tolist() == list(range(12))
    assert items[1].tolist() == [item for item in range(14) if item not in (3, 8)]


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
