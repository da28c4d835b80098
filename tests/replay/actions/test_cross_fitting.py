from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.errors import RequestError
from recsys.replay.actions import cross_fitting as features
from recsys.replay.actions.cross_fitting import every_pair, features_of_actions, folds, out_of_fold, pairs


def test_without_a_context_an_action_stands_alone() -> None:
    assert pairs(None, torch.tensor([2, 0]), torch.eye(3)).tolist() == [[0, 0, 1], [1, 0, 0]]
    [chunk] = every_pair(None, 2, torch.eye(2))
    assert chunk.tolist() == [[1, 0], [0, 1]] * 2


def test_chunks_are_the_whole_in_parts(monkeypatch: pytest.MonkeyPatch, generator: torch.Generator) -> None:
    context = torch.randn(7, 2, generator=generator)
    [whole] = every_pair(context, 7, torch.eye(3))
    monkeypatch.setattr(features, "CHUNK_NUMBERS", 31)
    parts = list(every_pair(context, 7, torch.eye(3)))
    assert [len(part) for part in parts] == [6, 6, 6, 3]
    assert torch.equal(torch.cat(parts), whole)


def test_features_are_of_each_action() -> None:
    assert features_of_actions(None, 2).tolist() == [[1, 0], [0, 1]]
    with pytest.raises(RequestError, match="3 actions have features, and the log has 2 actions"):
        features_of_actions(torch.ones(3, 1), 2)


def test_users_are_together_and_folds_even(generator: torch.Generator) -> None:
    user = torch.randint(0, 23, (200,), generator=generator) * 5
    fold = folds(user, 4, generator)
    sizes = torch.tensor([len(user[fold == one].unique()) for one in range(4)])
    assert sizes.sum() == len(user.unique()) and int(sizes.max() - sizes.min()) <= 1


def test_seeds_decide(generator: torch.Generator) -> None:
    first, again, other = (folds(torch.arange(50), 5, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("count", [1, 4])
def test_too_few_or_too_many_are_refused(generator: torch.Generator, count: int) -> None:
    with pytest.raises(RequestError, match=f"{count} of 3"):
        folds(torch.tensor([0, 1, 2, 2]), count, generator)


def test_answers_stand_where_their_rows_do_and_no_row_saw_its_fold(generator: torch.Generator) -> None:
    fold = folds(torch.arange(40), 3, generator)

    def answer(seen: Tensor, asked: Tensor) -> Tensor:
        assert not set(fold[seen].tolist()) & set(fold[asked].tolist()) and len(seen) + len(asked) == 40
        return asked.double()

    assert torch.equal(out_of_fold(fold, answer), torch.arange(40).double())
