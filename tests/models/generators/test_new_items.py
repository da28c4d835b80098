from __future__ import annotations

import torch

from recsys.items.trie import Trie
from recsys.models.generators.causal import CausalGenerator
from recsys.models.generators.history_encoder import HistoryEncoder
from recsys.models.generators.new_items import longer_table, moved_nodes, with_siblings_mean

KNOWN = torch.tensor([[0, 0, 0], [0, 2, 0], [2, 1, 0], [2, 1, 1]])
LATER = torch.tensor([[1, 0, 0], [0, 1, 0], [2, 1, 2], [4, 0, 0]])
EVERY = torch.cat([KNOWN, LATER])


def test_siblings_are_those_under_one_parent() -> None:
    rows = torch.tensor([[1.0], [2.0], [3.0], [5.0]])
    assert with_siblings_mean(rows, EVERY, Trie.from_codes(EVERY)).flatten().tolist() == [1, 2, 3, 5, 0, 0, 4, 0]


def test_in_a_flat_catalogue_all_are_siblings() -> None:
    codes = torch.arange(4).unsqueeze(1)
    rows = with_siblings_mean(torch.tensor([[1.0], [2.0]]), codes, Trie.from_codes(codes))
    assert rows.flatten().tolist() == [1.0, 2.0, 1.5, 1.5]


def test_nodes_move_where_their_codes_are() -> None:
    known, trie = Trie.from_codes(KNOWN), Trie.from_codes(EVERY)
    first = moved_nodes(torch.tensor([[1.0], [2.0]]), 1, known, trie)
    assert first.flatten().tolist() == [1.0, 0.0, 2.0, 0.0], "first codes 0, 1, 2, 4"
    second = moved_nodes(torch.tensor([[1.0], [2.0], [3.0]]), 2, known, trie)
    assert second.flatten().tolist() == [1.0, 0.0, 2.0, 0.0, 3.0, 0.0], "(0 0) (0 1) (0 2) (1 0) (2 1) (4 0)"


def test_tables_grow_at_their_end() -> None:
    assert longer_table(torch.ones(2, 1), 3).flatten().tolist() == [1.0, 1.0, 0.0]


@torch.no_grad()
def test_a_network_takes_its_weights_to_more_items() -> None:
    """Old items keep their vectors; a new one with siblings has their mean, one without has its codes'."""

    def network(codes: torch.Tensor) -> CausalGenerator:
        return CausalGenerator(Trie.from_codes(codes), codes, HistoryEncoder(8, 1, 2, 0.0, 7), max_length=6)

    before, after = network(KNOWN), network(EVERY)
    after.load_state_dict(after.for_new_items(before.state_dict()))
    vectors = after.item_vectors()
    torch.testing.assert_close(vectors[:4], before.item_vectors())
    torch.testing.assert_close(vectors[6], vectors[2:4].mean(0))
    code = before.embedding.weight
    torch.testing.assert_close(vectors[5], code("code_0")[0] + code("code_1")[1])
    assert vectors[7].tolist() == code("code_1")[0].tolist(), "first code 4 was never seen"
