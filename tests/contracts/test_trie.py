"""The law of a trie: its leaves are the catalogue, no more and no less."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.items.trie import Trie

catalogues = st.integers(1, 4).flatmap(
    lambda depth: st.lists(st.tuples(*[st.integers(0, 3)] * depth), min_size=1, max_size=40, unique=True)
)


def walk(trie: Trie) -> dict[tuple[int, ...], int]:
    """Every path from the root that `expand` offers, and the item at its end."""
    paths: dict[tuple[int, ...], int] = {(): 0}
    for level in range(trie.depth):
        longer = {}
        for path, node in paths.items():
            children = trie.expand(torch.tensor([node]), level)
            exists = children.mask
            tokens, nodes = children.tokens[exists].tolist(), children.nodes[exists].tolist()
            assert len(set(tokens)) == len(tokens)
            longer |= {(*path, token): child for token, child in zip(tokens, nodes, strict=True)}
        paths = longer
    return {path: int(trie.leaf_item[leaf]) for path, leaf in paths.items()}


@given(catalogues)
def test_leaves_are_the_catalogue(catalogue: list[tuple[int, ...]]) -> None:
    trie = Trie.from_codes(torch.tensor(catalogue))
    assert walk(trie) == {codes: item for item, codes in enumerate(catalogue)}


@given(catalogues)
def test_paths_lead_through_each_items_codes_to_its_leaf(catalogue: list[tuple[int, ...]]) -> None:
    codes = torch.tensor(catalogue)
    trie = Trie.from_codes(codes)
    path = trie.path(torch.arange(len(codes)))
    tokens = [trie.token(level)[path[:, level - 1]].long() for level in range(1, trie.depth + 1)]
    assert torch.equal(torch.stack(tokens, -1), codes)
    assert torch.equal(trie.leaf_item[path[:, -1]], torch.arange(len(codes)))


@given(catalogues)
def test_leaf_ranges_hold_the_items_that_pass_through_a_node(catalogue: list[tuple[int, ...]]) -> None:
    trie = Trie.from_codes(torch.tensor(catalogue))
    path = trie.path(trie.leaf_item)
    for level in range(1, trie.depth + 1):
        low, high = trie.leaf_range(level)
        leaf = torch.arange(trie.num_items).unsqueeze(-1)
        passes = (low <= leaf) & (leaf < high)
        assert torch.equal(passes, path[:, level - 1 : level] == torch.arange(trie.level_size[level]))
