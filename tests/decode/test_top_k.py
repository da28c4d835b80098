from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.decode.top_k import tie_keys, top_k


@given(
    rows=st.lists(st.lists(st.sampled_from([-float("inf"), 0.0, 1.0, 2.0]), min_size=6, max_size=6), min_size=1),
    k=st.integers(1, 6),
    user=st.integers(0, 2**40),
)
def test_equals_a_sort_by_score_and_then_by_key(rows: list[list[float]], k: int, user: int) -> None:
    scores = torch.tensor(rows)
    users = user + torch.arange(len(rows))
    values, indices = top_k(scores, k, users)
    keys = tie_keys(users.unsqueeze(1), torch.arange(6))
    expected = [sorted(range(6), key=lambda place: (-row[place], -keys[at, place])) for at, row in enumerate(rows)]
    assert torch.equal(values, scores.sort(dim=-1, descending=True).values[:, :k])
    chosen = values > -torch.inf
    assert torch.equal(indices[chosen], torch.tensor(expected)[:, :k][chosen])
    assert torch.equal(scores.gather(1, indices), values)


def test_scores_without_ties_are_only_sorted() -> None:
    scores = torch.rand(3, 50, generator=torch.Generator().manual_seed(0))
    for users in (None, torch.tensor([1, 2, 3])):
        assert torch.equal(top_k(scores, 20, users)[1], scores.argsort(dim=-1, descending=True)[:, :20])


def test_equal_scores_are_in_every_order_equally_often() -> None:
    """Of 24,000 users each of the 24 orders has 1,000; the standard error is 31."""
    _, indices = top_k(torch.zeros(24_000, 4), 4, torch.arange(24_000))
    counts = (indices * torch.tensor([64, 16, 4, 1])).sum(1).unique(return_counts=True)[1]
    assert len(counts) == 24 and ((counts - 1000).abs() < 150).all()
    _, first = top_k(torch.zeros(24_000, 400), 1, torch.arange(24_000))
    assert (torch.bincount(first.flatten(), minlength=400) - 60).abs().max() < 40


def test_a_row_is_ordered_the_same_in_any_batch() -> None:
    scores, users = torch.zeros(5, 30), torch.tensor([4, 9, 4, 0, 7])
    _, together = top_k(scores, 8, users)
    assert torch.equal(together[0], together[2]) and not torch.equal(together[0], together[1])
    assert torch.equal(top_k(scores[1:2], 8, users[1:2])[1], together[1:2])
    assert torch.equal(top_k(scores, 30, users)[1][:, :8], together)
