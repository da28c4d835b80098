from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.jagged import Jagged
from recsys.nn.packing import Packing


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_padding_and_back(lengths: list[int]) -> None:
    rows = Jagged.from_lengths(torch.randn(sum(lengths), 3), torch.tensor(lengths))
    packing = Packing.of(rows)
    padded = packing.pad(rows.values)
    torch.testing.assert_close(padded, rows.to_padded(0.0, packing.length))
    assert torch.equal(packing.unpad(padded), rows.values)
    assert packing.full == (len(set(lengths)) == 1 and lengths[0] > 0)


def test_the_mask_names_the_positions_of_each_row() -> None:
    packing = Packing.of(Jagged.from_rows([[7, 8], [], [9]]))
    assert packing.mask().tolist() == [[True, True], [True, False], [True, False]]


def test_a_batch_of_empty_rows_has_one_column() -> None:
    packing = Packing.of(Jagged.empty(2))
    assert packing.pad(torch.zeros(0, 3)).shape == (2, 1, 3)


def test_gradients_pass_both_ways() -> None:
    rows = Jagged.from_lengths(torch.randn(3, 2, requires_grad=True), torch.tensor([1, 2]))
    packing = Packing.of(rows)
    weight = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    (packing.unpad(packing.pad(rows.values)) * weight).sum().backward()
    torch.testing.assert_close(rows.values.grad, weight)
