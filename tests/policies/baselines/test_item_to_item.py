from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from recsys.policies.baselines.item_to_item import ItemLinks, ItemToItem
from recsys.types.jagged import Jagged
from tests.policies.contexts import requests

LINKS = torch.tensor([[0.0, 2.0, 1.0, 0.0], [0.0, 0.0, 0.0, 4.0], [3.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
COUNTS = torch.tensor([3, 2, 1, 0])
POPULARITY = torch.tensor([0.4, 0.3, 0.2, 0.1])


def policy(decay: float = 0.5, window: int | None = 2, back_off: float = 0.1) -> ItemToItem:
    return ItemToItem(LINKS.to_sparse_coo(), COUNTS, decay, window, back_off)


def share(of: ItemToItem, history: list[int], excluded: list[int] | None = None) -> Tensor:
    return of.catalogue_log_prob(requests([history], [excluded or []])).exp()[0]


def test_following_is_a_matrix_product() -> None:
    links = torch.rand(30, 30) * (torch.rand(30, 30) < 0.2)
    rows = [torch.randint(0, 30, (length,)).tolist() for length in (4, 0, 7, 1)] + [[5, 5, 5]]
    items = Jagged.from_rows(rows)
    weights = torch.rand(len(items.values))
    dense = torch.zeros(5, 30).index_put((items.row_ids(), items.values), weights, accumulate=True)
    torch.testing.assert_close(ItemLinks(links.to_sparse_coo()).follow(items, weights), dense @ links)


def test_the_formula() -> None:
    score = LINKS[1] + 0.5 * LINKS[0]
    torch.testing.assert_close(share(policy(), [2, 0, 1]), 0.9 * score / score.sum() + 0.1 * POPULARITY)


def test_a_window_of_none_reads_the_whole_history() -> None:
    score = LINKS[1] + 0.5 * LINKS[0] + 0.25 * LINKS[2]
    torch.testing.assert_close(share(policy(window=None), [2, 0, 1]), 0.9 * score / score.sum() + 0.1 * POPULARITY)


def test_without_decay_order_does_not_matter() -> None:
    torch.testing.assert_close(share(policy(decay=1), [0, 2]), share(policy(decay=1), [2, 0]))


@pytest.mark.parametrize("history", [[], [3]])
def test_popularity_alone_where_nothing_links(history: list[int]) -> None:
    torch.testing.assert_close(share(policy(), history), POPULARITY)


def test_excluded_items_leave_their_share_to_the_rest() -> None:
    free, restricted = share(policy(), [0]), share(policy(), [0], excluded=[1])
    assert restricted[1] == 0
    torch.testing.assert_close(restricted[[0, 2, 3]], free[[0, 2, 3]] / (1 - free[1]))


def test_every_legal_item_stays_possible() -> None:
    assert (share(policy(back_off=1e-3), [1]) > 0).all()


def test_a_request_does_not_depend_on_its_batch() -> None:
    histories = [[0], [], [2, 1, 0], [1]]
    together = policy().catalogue_log_prob(requests(histories))
    alone = torch.cat([policy().catalogue_log_prob(requests([history])) for history in histories])
    assert torch.equal(together, alone)


def test_state_travels() -> None:
    other = ItemToItem(LINKS.flip(0).contiguous().to_sparse_coo(), COUNTS + 1, 0.5, 2, 0.1)
    other.load_state_dict(policy().state_dict())
    torch.testing.assert_close(share(other, [0, 1]), share(policy(), [0, 1]))


def test_no_warning_reaches_the_user() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        share(policy(), [0, 1])
