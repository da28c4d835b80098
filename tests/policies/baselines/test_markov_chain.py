from __future__ import annotations

from collections import defaultdict

import pytest
import torch

from recsys.policies.baselines.markov_chain import MarkovChain, lagged_counts
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from tests.policies.contexts import requests


def counted(sequences: Jagged, num_items: int, decay: float, window: int) -> torch.Tensor:
    counts: dict[tuple[int, int], float] = defaultdict(float)
    for start, end in sequences.offsets.unfold(0, 2, 1).tolist():
        row = sequences.values[start:end].tolist()
        for later in range(len(row)):
            for lag in range(1, min(window, later) + 1):
                counts[row[later - lag], row[later]] += decay ** (lag - 1)
    dense = torch.zeros(num_items, num_items, dtype=torch.float64)
    for (source, target), count in counts.items():
        dense[source, target] = count
    return dense


@pytest.mark.parametrize(("decay", "window"), [(0.6, 5), (1.0, 2), (0.5, 1), (0.6, 100)])
def test_counts_equal_a_plain_loop(train: Context, decay: float, window: int) -> None:
    found = lagged_counts(train.history, 12, decay, window)
    torch.testing.assert_close(found.to_dense(), counted(train.history, 12, decay, window))


def test_users_do_not_run_into_each_other() -> None:
    assert lagged_counts(Jagged.from_rows([[0, 1], [2], [], [3]]), 4, 0.6, 5).indices().tolist() == [[0], [1]]


def test_no_pairs_at_all() -> None:
    share = MarkovChain(requests([[0], [0], [1]]), 3).catalogue_log_prob(requests([[0]])).exp()
    torch.testing.assert_close(share, torch.tensor([[3.0, 2.0, 1.0]]) / 6)


def test_by_hand() -> None:
    """0 → 1 twice, 0 → 2 once at lag two (.5); 1 → 2 once. History [0, 1]: lag 0 is 1, lag 1 is 0."""
    policy = MarkovChain(requests([[0, 1, 2], [0, 1]]), 3, decay=0.5, window=2, exponent=1.0, back_off=0.1)
    score = torch.tensor([0, 0.5 * 2 / 2.5, 1 + 0.5 * 0.5 / 2.5])
    popularity = torch.tensor([3, 3, 2]) / 8
    share = policy.catalogue_log_prob(requests([[0, 1]])).exp()[0]
    torch.testing.assert_close(share, 0.9 * score / score.sum() + 0.1 * popularity)


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_the_exponent_scales_rows(train: Context, exponent: float) -> None:
    counts = counted(train.history, 12, 0.6, 5)
    links = counts / counts.sum(1, keepdim=True).clamp(min=1e-9) ** exponent
    policy = MarkovChain(train, 12, exponent=exponent)
    dense = torch.sparse_coo_tensor(policy.links.ends, policy.links.weight, (12, 12), check_invariants=True).to_dense()
    torch.testing.assert_close(dense, links.float())


def test_learns_a_cycle() -> None:
    cycle = requests([[(start + step) % 6 for step in range(5)] for start in range(6)])
    top = MarkovChain(cycle, 6).top(requests([[3, 4], [5]], [[3, 4], [5]]), 1)
    assert top.items.flatten().tolist() == [5, 0]
