from __future__ import annotations

import torch

from recsys.policies.baselines.popularity import PopularityPolicy
from tests.policies.contexts import requests

TRAIN = requests([[0, 1], [1], [1, 2]])


def test_shares_are_smoothed_counts() -> None:
    share = PopularityPolicy(TRAIN, num_items=4, smoothing=1).catalogue_log_prob(requests([[0]])).exp()
    torch.testing.assert_close(share, torch.tensor([[2, 4, 2, 1]]) / 9)


def test_what_a_request_excludes_leaves_its_share_to_the_rest() -> None:
    share = PopularityPolicy(TRAIN, num_items=4).catalogue_log_prob(requests([[], []], [[1], [0, 1, 2]])).exp()
    torch.testing.assert_close(share, torch.tensor([[2, 0, 2, 1], [0, 0, 0, 5]]) / 5)


def test_the_order_is_that_of_the_counts_whatever_the_smoothing() -> None:
    for smoothing in (0.01, 100.0):
        top = PopularityPolicy(TRAIN, num_items=4, smoothing=smoothing).top(requests([[]]), 4)
        best, *tied, last = top.items.flatten().tolist()
        assert (best, sorted(tied), last) == (1, [0, 2], 3)
