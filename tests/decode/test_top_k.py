from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.decode.top_k import top_k


@given(
    rows=st.lists(st.lists(st.sampled_from([-float("inf"), 0.0, 1.0, 2.0]), min_size=6, max_size=6), min_size=1),
    k=st.integers(1, 6),
)
def test_equals_a_stable_sort(rows: list[list[float]], k: int) -> None:
    scores = torch.tensor(rows)
    values, indices = top_k(scores, k)
    expected_values, expected_indices = scores.sort(dim=-1, descending=True, stable=True)
    assert torch.equal(values, expected_values[:, :k])
    chosen = values > -torch.inf
    assert torch.equal(indices[chosen], expected_indices[:, :k][chosen])
    assert torch.equal(scores.gather(1, indices), values)


def test_a_row_of_ties_among_many_columns_keeps_the_first_ones() -> None:
    scores = torch.cat([torch.zeros(1, 5000), torch.arange(5000.0).unsqueeze(0)])
    assert torch.equal(top_k(scores, 20)[1], torch.stack([torch.arange(20), 4999 - torch.arange(20)]))
