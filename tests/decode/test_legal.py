from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.decode.legal import LegalSet, log1mexp, log_sum_exp
from recsys.errors import EmptyLegalSetError
from recsys.items.trie import Trie
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.decode.table_generator import ragged_codes

ITEMS = 12
rows_of_items = st.lists(st.lists(st.integers(0, ITEMS - 1), max_size=8), min_size=3, max_size=3)


@given(excluded=rows_of_items, candidates=st.none() | rows_of_items)
def test_contains_what_the_context_says_is_legal(excluded: list[list[int]], candidates: list[list[int]] | None) -> None:
    trie = Trie.from_codes(ragged_codes(ITEMS, levels=2, codes=4))
    allowed = None if candidates is None else Jagged.from_rows(candidates)
    context = Context(torch.arange(3), Jagged.empty(3), Jagged.from_rows(excluded), candidates=allowed)
    illegal = context.illegal(ITEMS)
    if illegal.all(-1).any():
        with pytest.raises(EmptyLegalSetError):
            LegalSet.of(trie, context)
        return
    legal = LegalSet.of(trie, context)
    every = torch.arange(-1, ITEMS).expand(3, -1)
    expected = torch.cat([torch.zeros(3, 1, dtype=torch.bool), ~illegal], 1)
    assert torch.equal(legal.contains(every), expected)
    rows = torch.tensor([2, 0, 2])
    assert torch.equal(legal.select(rows).contains(every), expected[rows])
    items, exists = legal.padded_items()
    assert torch.equal(exists.sum(-1), (~illegal if candidates is not None else illegal).sum(-1))
    assert (illegal.gather(1, items)[exists] == (candidates is None)).all()


def test_an_empty_legal_set_names_the_request_and_what_to_do() -> None:
    trie = Trie.from_codes(ragged_codes(3, levels=1, codes=3))
    context = Context(torch.arange(2), Jagged.empty(2), Jagged.from_rows([[0], [2, 1, 0]]))
    with pytest.raises(EmptyLegalSetError, match=r"request 1 of 2 .* Exclude fewer items"):
        LegalSet.of(trie, context)


@pytest.mark.parametrize("share", [1e-8, 0.25, 0.5, 0.9])
def test_log1mexp_is_the_log_of_what_is_left(share: float) -> None:
    left = torch.log1p(torch.tensor(-share, dtype=torch.float64))
    assert torch.allclose(log1mexp(torch.tensor(share).log()).double(), left, atol=2e-6)


def test_log1mexp_at_its_ends() -> None:
    assert log1mexp(torch.tensor([0.0, -1e30])).tolist() == [-float("inf"), 0.0]


def test_log_sum_exp_of_nothing_is_nothing_and_passes_no_gradient() -> None:
    values = torch.tensor([[-float("inf"), -float("inf")], [0.0, -float("inf")]], requires_grad=True)
    total = log_sum_exp(values)
    assert total.tolist() == [-float("inf"), 0.0]
    total.masked_fill(total.isneginf(), 0.0).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [[0.0, 0.0], [1.0, 0.0]]
