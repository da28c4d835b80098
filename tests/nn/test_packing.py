from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.nn.packing import Packing
from recsys.types.jagged import Jagged


@given(st.lists(st.integers(0, 5), min_size=1, max_size=6))
def test_rows_packed_in_any_order_are_padded_in_their_own(lengths: list[int]) -> None:
    rows = Jagged.from_lengths(torch.randn(sum(lengths), 3), torch.tensor(lengths))
    for order in (torch.arange(len(lengths)), rows.lengths.argsort(descending=True), torch.randperm(len(lengths))):
        packing = Packing.of(rows, order)
        padded = packing.pad(rows.select(order).values)
        torch.testing.assert_close(padded, rows.to_padded(0.0, packing.length))
        runs = [length for count, length in packing.runs for _ in range(count)]
        assert runs == [lengths[row] for row in order.tolist() if lengths[row]]


def test_rows_of_one_length_in_their_own_order_are_the_padded_batch() -> None:
    rows = Jagged.from_rows([[7, 8], [9, 5], [3, 4]])
    assert Packing.of(rows, torch.arange(3)).full
    assert not Packing.of(rows, torch.tensor([0, 2, 1])).full
    assert not Packing.of(Jagged.from_rows([[7, 8], [], [3]]), torch.arange(3)).full


def test_the_mask_names_the_positions_of_each_row() -> None:
    packing = Packing.of(Jagged.from_rows([[7, 8], [], [9]]), torch.tensor([2, 1, 0]))
    assert packing.mask().tolist() == [[True, True], [True, False], [True, False]]


def test_a_batch_of_empty_rows_has_one_column() -> None:
    packing = Packing.of(Jagged.empty(2), torch.arange(2))
    assert packing.pad(torch.zeros(0, 3)).shape == (2, 1, 3)


def test_gradients_come_back_to_where_the_values_were() -> None:
    values = torch.randn(3, 2, requires_grad=True)
    packing = Packing.of(Jagged.from_lengths(values.detach(), torch.tensor([1, 2])), torch.tensor([1, 0]))
    weight = torch.arange(8.0).view(2, 2, 2)
    (packing.pad(values) * weight).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [[4, 5], [6, 7], [0, 1]]
