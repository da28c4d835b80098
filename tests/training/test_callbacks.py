from __future__ import annotations

import lightning
import pytest
import torch

from recsys.training.callbacks import MetricHistory, PersistentEarlyStopping, RandomStateCallback

MODULE = lightning.LightningModule()


class At(lightning.Trainer):
    """A trainer that stands at a step, with the given metrics."""

    global_step, sanity_checking, callback_metrics, global_rank = 0, False, {}, 0

    def __init__(self, step: int, sanity_checking: bool = False, rank: int = 0, **metrics: float) -> None:
        self.global_rank = rank
        self.global_step, self.sanity_checking, self.should_stop = step, sanity_checking, False
        self.callback_metrics = {name.replace("_", "/", 1): torch.tensor(one) for name, one in metrics.items()}


def after_batch(history: MetricHistory, step: int, loss: float) -> None:
    history.on_train_batch_end(At(step, train_loss=loss, validation_ndcg=9.0), MODULE, None, None, 0)


def test_every_so_many_steps_from_the_first() -> None:
    history = MetricHistory(every=3)
    for step in range(1, 9):
        after_batch(history, step, step / 2)
    assert history.rows == [(1, "train/loss", 0.5), (4, "train/loss", 2.0), (7, "train/loss", 3.5)]


def test_a_step_of_several_batches_is_one_row() -> None:
    history = MetricHistory(every=2)
    for step in (0, 1, 1, 2, 2, 3, 3):
        after_batch(history, step, float(step))
    assert [step for step, _, _ in history.rows] == [1, 3]


def test_validations_but_the_sanity_check() -> None:
    history = MetricHistory()
    history.on_validation_end(At(0, sanity_checking=True, validation_ndcg=0.5), MODULE)
    history.on_validation_end(At(7, validation_ndcg=0.25, train_loss=1.0), MODULE)
    assert history.rows == [(7, "validation/ndcg", 0.25)]


def test_rows_travel_in_the_checkpoint() -> None:
    first, second = MetricHistory(every=2), MetricHistory(every=2)
    after_batch(first, 1, 1.0)
    second.load_state_dict(first.state_dict())
    for step in (1, 2, 3):
        after_batch(first, step, 0.5)
        after_batch(second, step, 0.5)
    assert second.rows == first.rows == [(1, "train/loss", 1.0), (3, "train/loss", 0.5)]


def test_draws_go_on_from_the_checkpoint() -> None:
    torch.rand(3)
    state = RandomStateCallback().state_dict()
    expected = torch.rand(4)
    resumed = RandomStateCallback()
    resumed.load_state_dict(state)
    torch.rand(11)
    resumed.on_train_start(At(0), MODULE)
    assert torch.equal(torch.rand(4), expected)


def test_nothing_loaded_leaves_the_draws_alone() -> None:
    torch.manual_seed(3)
    RandomStateCallback().on_train_start(At(0), MODULE)
    first = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(torch.rand(2), first)


def test_processes_draw_from_streams_of_their_own() -> None:
    drawn = []
    for rank in (0, 1, 2):
        torch.manual_seed(3)
        RandomStateCallback().on_train_start(At(0, rank=rank), MODULE)
        drawn.append(torch.rand(4).tolist())
    assert len({tuple(one) for one in drawn}) == 3


def test_a_process_goes_on_from_its_own_state() -> None:
    states = [torch.Generator().manual_seed(seed).get_state() for seed in (5, 6)]
    for rank, seed in ((0, 5), (1, 6)):
        resumed = RandomStateCallback()
        resumed.load_state_dict({"processes": [{"cpu": state} for state in states]})
        resumed.on_train_start(At(0, rank=rank), MODULE)
        assert torch.equal(torch.rand(4), torch.rand(4, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize(("waited", "stops"), [(1, False), (2, True)])
def test_patience_that_is_over_stays_over(waited: int, stops: bool) -> None:
    patience, resumed = PersistentEarlyStopping("validation/ndcg", patience=2), At(5)
    patience.load_state_dict({**patience.state_dict(), "wait_count": waited})
    patience.on_train_start(resumed, MODULE)
    assert resumed.should_stop is stops
