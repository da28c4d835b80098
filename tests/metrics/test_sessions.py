from __future__ import annotations

import math

import pytest
import torch

from recsys.metrics.sessions import session_ndcg, session_recall

LOGGED = torch.tensor([[7, 2, 4], [7, 2, 4], [7, 2, -1], [7, 2, 4]])
ENGAGED = torch.tensor([[True, True, False], [True, True, True], [False, True, True], [False, False, False]])
ITEMS = torch.tensor([[4, 7, 1], [1, 3, 7], [2, -1, -1], [7, 2, 4]])


def test_recall_counts_engaged_items_only() -> None:
    """4 was shown and not engaged; a slot without an item engages nobody; nothing engaged has no recall."""
    found = session_recall(ITEMS, LOGGED, ENGAGED)
    assert found[:3].tolist() == pytest.approx([1 / 2, 1 / 3, 1.0]) and math.isnan(found[3])


def test_ndcg_is_that_of_torchmetrics_or_by_hand() -> None:
    found = session_ndcg(ITEMS, LOGGED, ENGAGED)
    half, third = 1 / math.log2(3), 1 / 2
    assert found[:3].tolist() == pytest.approx([half / (1 + half), third / (1 + half + third), 1.0])
    assert math.isnan(found[3])


def test_a_perfect_session_has_one() -> None:
    found = session_ndcg(torch.tensor([[7, 2, 9]]), LOGGED[:1], ENGAGED[:1])
    assert found.item() == pytest.approx(1.0) and session_recall(LOGGED[1:2], LOGGED[1:2], ENGAGED[1:2]).item() == 1.0


def test_shorter_sessions_than_were_engaged_can_be_perfect_in_ndcg() -> None:
    assert session_ndcg(torch.tensor([[7, 2]]), LOGGED[1:2], ENGAGED[1:2]).item() == pytest.approx(1.0)


def test_a_session_that_holds_an_item_twice_is_refused() -> None:
    for metric in (session_recall, session_ndcg):
        with pytest.raises(ValueError, match="recommends item 7 twice"):
            metric(torch.tensor([[7, 7, 1]]), LOGGED[:1], ENGAGED[:1])
        with pytest.raises(ValueError, match="item 7 twice"):
            metric(torch.tensor([[7, 1]]), torch.tensor([[7, 7]]), torch.ones(1, 2, dtype=torch.bool))
