from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from recsys.errors import DataError
from recsys.items.trie import Trie

CODES = torch.tensor([[0, 1], [1, 0], [0, 0], [3, 2]])


def test_arrays_of_a_hand_made_catalogue() -> None:
    trie = Trie.from_codes(CODES)
    assert trie.depth == 2 and trie.num_items == 4
    assert trie.level_size == (1, 3, 4) and trie.branching == (3, 2) and trie.codes_per_level == (4, 3)
    assert trie.first_child(0).tolist() == [0, 3] and trie.first_child(1).tolist() == [0, 2, 3, 4]
    assert trie.token(1).tolist() == [0, 1, 3] and trie.token(2).tolist() == [0, 1, 0, 2]
    assert trie.leaf_item.tolist() == [2, 0, 1, 3] and trie.item_leaf.tolist() == [1, 2, 0, 3]


def test_children_are_padded_with_the_last() -> None:
    trie = Trie.from_codes(CODES)
    children = trie.expand(torch.tensor([[0, 1], [2, 0]]), level=1)
    assert children.nodes.tolist() == [[[0, 1], [2, 2]], [[3, 3], [0, 1]]]
    assert children.mask.tolist() == [[[True, True], [True, False]], [[True, False], [True, True]]]
    assert children.tokens.tolist() == [[[0, 1], [0, 0]], [[2, 2], [0, 1]]]


def test_leaf_range_of_some_nodes() -> None:
    trie = Trie.from_codes(CODES)
    low, high = trie.leaf_range(1, torch.tensor([[2, 0]]))
    assert low.tolist() == [[3, 0]] and high.tolist() == [[4, 2]]
    assert [bound.tolist() for bound in trie.leaf_range(0)] == [[0], [4]]
    assert [bound.tolist() for bound in trie.leaf_range(2)] == [[0, 1, 2, 3], [1, 2, 3, 4]]


def test_one_item() -> None:
    trie = Trie.from_codes(torch.tensor([[5, 5, 5]]))
    assert trie.level_size == (1, 1, 1, 1)
    assert trie.path(torch.tensor([0])).tolist() == [[0, 0, 0]]


@pytest.mark.parametrize(("largest", "dtype"), [(255, torch.uint8), (256, torch.int16), (40_000, torch.int32)])
def test_codes_take_the_smallest_type(largest: int, dtype: torch.dtype) -> None:
    trie = Trie.from_codes(torch.tensor([[0, 0], [0, largest]]))
    assert trie.token(2).dtype == dtype
    assert trie.expand(trie.root(1)[:, 0], 0).tokens.dtype == torch.int64
    assert trie.expand(torch.tensor([0]), 1).tokens.tolist() == [[0, largest]]


def test_refuses_twins_negatives_and_nothing() -> None:
    with pytest.raises(DataError, match=r"items 1 and 3 share the codes \[0, 2\]"):
        Trie.from_codes(torch.tensor([[4, 0], [0, 2], [1, 0], [0, 2]]))
    with pytest.raises(DataError, match="from 0 on"):
        Trie.from_codes(torch.tensor([[0, -1]]))
    with pytest.raises(DataError, match="at least one item"):
        Trie.from_codes(torch.zeros(0, 2, dtype=torch.int64))


def test_is_a_module_among_modules() -> None:
    holder = nn.ModuleDict({"trie": Trie.from_codes(CODES)}).to("cpu").train().requires_grad_(True)
    other = nn.ModuleDict({"trie": Trie.from_codes(CODES[[2, 1, 0, 3]])})
    other.load_state_dict(holder.state_dict())
    trie = other["trie"]
    assert isinstance(trie, Trie) and trie.leaf_item.tolist() == [2, 0, 1, 3]
    assert not list(holder.parameters())


def test_measures_follow_a_loaded_state() -> None:
    trie = Trie.from_codes(torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]))
    trie.load_state_dict(Trie.from_codes(torch.tensor([[0, 0], [7, 0], [7, 1], [7, 2]])).state_dict())
    assert trie.branching == (2, 3) and trie.codes_per_level == (8, 3)


def test_index_of_a_large_catalogue_is_small_and_quick() -> None:
    codes = torch.randint(0, 256, (200_000, 4), generator=torch.Generator().manual_seed(0)).unique(dim=0)
    start = time.process_time()
    trie = Trie.from_codes(codes)
    assert time.process_time() - start < 0.5
    assert trie.nbytes < 8 * trie.num_items
    shuffled = codes[torch.randperm(len(codes), generator=torch.Generator().manual_seed(1))]
    assert torch.equal(shuffled[Trie.from_codes(shuffled).leaf_item], codes)
