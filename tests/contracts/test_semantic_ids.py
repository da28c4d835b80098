"""The law of semantic IDs: items and codes are exact inverses after any collision policy."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.items.balanced_kmeans import BalancedKMeans
from recsys.items.collisions import CollisionPolicy, ExtraCode, NextBest
from recsys.items.semantic_ids import SemanticIds

catalogues = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=15, unique=True)


@pytest.mark.parametrize("policy", [ExtraCode(), ExtraCode(size=40), NextBest()])
def test_exact_inverse_after_a_collision_policy(policy: CollisionPolicy) -> None:
    x = torch.randn(60, 8, generator=torch.Generator().manual_seed(1))
    x[10:20] = x[0]
    quantizer = BalancedKMeans(levels=2, codes=24)
    codes = quantizer.fit_encode(x, torch.Generator().manual_seed(2))
    assert len(codes.unique(dim=0)) < 60
    ids = SemanticIds(*policy.resolve(codes, quantizer, x))
    items = torch.arange(60)
    assert torch.equal(ids.items(ids.encode(items)), items)
    assert torch.equal(ids.codes[:, 0], codes[:, 0])


@given(catalogues)
def test_codes_of_no_item_are_no_item(catalogue: list[tuple[int, int]]) -> None:
    ids = SemanticIds(torch.tensor(catalogue), sizes=(5, 3))
    every = torch.cartesian_prod(torch.arange(-1, 7), torch.arange(-1, 5))
    expected = [catalogue.index(codes) if codes in catalogue else -1 for codes in map(tuple, every.tolist())]
    assert ids.items(every).tolist() == expected


@given(catalogues)
def test_the_trie_speaks_of_the_same_items(catalogue: list[tuple[int, int]]) -> None:
    ids = SemanticIds(torch.tensor(catalogue), sizes=(5, 3))
    trie = ids.trie()
    path = trie.path(torch.arange(ids.num_items))
    codes = torch.stack([trie.token(level + 1)[path[:, level]].long() for level in range(2)], -1)
    assert torch.equal(ids.items(codes), torch.arange(ids.num_items))
