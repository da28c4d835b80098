from __future__ import annotations

import pytest
import torch

from recsys.data.datasets.loader import PackedLoader, RepeatBatches
from recsys.errors import ConfigurationError
from recsys.types.context import Context
from recsys.types.jagged import Jagged


def repeated(times: int = 3) -> RepeatBatches:
    history = Jagged.from_rows([[user * 10 + step for step in range(5)] for user in range(6)])
    return RepeatBatches(PackedLoader(Context(torch.arange(6), history, Jagged.empty(6)), 12, 4, seed=1), times)


def users(batches: list[Context]) -> list[list[int]]:
    return [batch.users.tolist() for batch in batches]


def test_each_batch_comes_so_often_in_a_row() -> None:
    once, thrice = users(list(repeated(1))), users(list(repeated(3)))
    assert thrice == [batch for batch in once for _ in range(3)]
    assert len(repeated(3)) == len(thrice)


@pytest.mark.parametrize("stop", [1, 2, 3, 4, 7])
def test_resuming_anywhere_equals_going_on(stop: int) -> None:
    whole = users(list(repeated()))
    first = repeated()
    batches = iter(first)
    done = users([next(batches) for _ in range(stop)])
    second = repeated()
    second.load_state_dict(first.state_dict())
    assert done + users(list(second)) == whole


def test_epochs_go_on_after_a_resumed_one() -> None:
    first, second = repeated(), repeated()
    epochs = [users(list(first)), users(list(first))]
    batches = iter(second)
    next(batches)
    third = repeated()
    third.load_state_dict(second.state_dict())
    list(third)
    assert users(list(third)) == epochs[1]


def test_a_finished_epoch_is_resumed_with_the_next() -> None:
    first, second = repeated(), repeated()
    list(first)
    second.load_state_dict(first.state_dict())
    assert users(list(second)) == users(list(first))


def test_fewer_than_once_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="repetitions=0"):
        repeated(0)
