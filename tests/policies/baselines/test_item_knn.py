from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from recsys.policies.baselines.item_knn import ItemKNN, cosine_neighbours
from recsys.types.context import Context
from tests.policies.contexts import requests


def cosines(train: Context, shrinkage: float = 0.0) -> torch.Tensor:
    taken = train.history.mask(12).float()
    together = (taken.T @ taken).fill_diagonal_(0)
    counts = taken.sum(0)
    return together / ((counts.unsqueeze(0) * counts.unsqueeze(1)).sqrt() + shrinkage).clamp(min=1e-9)


@pytest.mark.parametrize("shrinkage", [0.0, 3.0])
def test_all_neighbours_are_the_cosine_matrix(train: Context, shrinkage: float) -> None:
    found = cosine_neighbours(train.history, 12, neighbours=12, shrinkage=shrinkage).to_dense()
    torch.testing.assert_close(found, cosines(train, shrinkage))


def test_without_shrinkage_it_is_the_cosine_of_columns(train: Context) -> None:
    columns = normalize(train.history.mask(12).float().T, dim=1)
    torch.testing.assert_close(cosines(train), (columns @ columns.T).fill_diagonal_(0))


def test_the_nearest_are_kept(train: Context) -> None:
    found = cosine_neighbours(train.history, 12, neighbours=3).to_dense()
    assert ((found > 0).sum(1) <= 3).all()
    torch.testing.assert_close(found.topk(3).values, cosines(train).topk(3).values)


def test_blocks_do_not_change_the_links(train: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = cosine_neighbours(train.history, 12, neighbours=4).to_dense()
    monkeypatch.setattr("recsys.policies.baselines.item_knn.BLOCK_NUMBERS", 12 * 5)
    assert torch.equal(cosine_neighbours(train.history, 12, neighbours=4).to_dense(), whole)


def test_how_often_a_user_took_an_item_does_not_matter() -> None:
    once, often = requests([[0, 1], [1, 2]]), requests([[0, 1, 0, 1, 1], [2, 1, 2]])
    assert torch.equal(
        cosine_neighbours(once.history, 3, 3).to_dense(), cosine_neighbours(often.history, 3, 3).to_dense()
    )


def test_recommends_what_the_same_users_took() -> None:
    policy = ItemKNN(requests([[0, 1], [0, 1], [2, 3], [2, 3]]), 4, shrinkage=0.0, decay=1.0, window=None)
    assert policy.top(requests([[0], [3]], [[0], [3]]), 1).items.flatten().tolist() == [1, 2]
