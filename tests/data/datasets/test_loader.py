from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning.pytorch.callbacks import ModelCheckpoint

from recsys.data.datasets.loader import ExampleLoader, PackedLoader
from recsys.errors import ConfigurationError
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged

LENGTHS = st.lists(st.integers(0, 23), min_size=1, max_size=12)


def users(lengths: list[int]) -> Context:
    """User `u` has the items `100 u, 100 u + 1, …`, and excludes item 9999."""
    history = Jagged.from_rows([range(100 * user, 100 * user + length) for user, length in enumerate(lengths)])
    return Context(
        users=torch.arange(len(lengths)),
        history=history,
        excluded=Jagged.from_rows([[9999]] * len(lengths)),
        features={"age": torch.arange(len(lengths)).float()},
    )


def answered(lengths: list[int]) -> Example:
    """The users, answered with the items 7, 8, …"""
    return Example.next_item(users(lengths), torch.arange(len(lengths)) + 7)


def rows(jagged: Jagged) -> list[list[int]]:
    return [part.tolist() for part in jagged.values.split(jagged.lengths.tolist())]


def content(batch: Context) -> list[tuple[int, list[int], list[int]]]:
    return list(zip(batch.users.tolist(), rows(batch.history), rows(batch.excluded), strict=True))


@settings(max_examples=40)
@given(LENGTHS, st.integers(1, 8), st.integers(0, 20), st.booleans())
def test_every_next_item_once_within_the_positions(lengths: list[int], most: int, spare: int, shuffle: bool) -> None:
    loader = PackedLoader(users(lengths), most + 1 + spare, most, shuffle=shuffle)
    batches = list(loader)
    assert len(batches) == len(loader)
    asked = Counter()
    for batch in batches:
        assert len(batch) * int(batch.history.lengths.max()) <= most + 1 + spare
        assert batch.features["age"].tolist() == batch.users.tolist()
        for user, window, excluded in content(batch):
            assert 2 <= len(window) <= most + 1
            assert window == list(range(window[0], window[0] + len(window)))
            assert excluded == [9999, *range(100 * user, window[0])]
            asked.update(window[1:])
    assert asked == Counter(100 * user + at for user, length in enumerate(lengths) for at in range(1, length))


def test_windows_are_full_from_the_end() -> None:
    loader = PackedLoader(users([8]), 40, 3, shuffle=False)
    windows = sorted(window for batch in loader for window in rows(batch.history))
    assert windows == [[0, 1], [1, 2, 3, 4], [4, 5, 6, 7]]


def test_where_items_come_again_nothing_before_is_excluded() -> None:
    loader = PackedLoader(users([8]), 40, 3, repeats=True)
    assert all(excluded == [9999] for batch in loader for _, _, excluded in content(batch))


@settings(max_examples=20)
@given(LENGTHS, st.integers(0, 30))
def test_resumed_equals_uninterrupted(lengths: list[int], stop: int) -> None:
    context = users(lengths)
    whole = PackedLoader(context, 12, 5, seed=3)
    epochs = [[content(batch) for batch in whole] for _ in range(3)]
    first = PackedLoader(context, 12, 5, seed=3)
    for _, _batch in zip(range(stop), first, strict=False):
        pass
    second = PackedLoader(context, 12, 5, seed=3)
    second.load_state_dict(first.state_dict())
    given_out = min(stop, len(whole))
    rest = [[content(batch) for batch in second] for _ in range(2)]
    if given_out < len(whole):
        assert rest == [epochs[0][given_out:], epochs[1]]
    else:
        assert rest == [epochs[1], epochs[2]]


class Recorder(lightning.LightningModule):
    """Trains nothing and remembers which users each step saw."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))
        self.seen: list[tuple[int, int, list[int]]] = []

    def transfer_batch_to_device(self, batch: Context, device: torch.device, dataloader_idx: int) -> Context:
        return batch

    def training_step(self, batch: Context, batch_idx: int) -> torch.Tensor:
        self.seen.append((self.current_epoch, batch_idx, batch.users.tolist()))
        return self.weight * 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stop", [2, 4, 5])
def test_a_trainer_goes_on_where_its_checkpoint_was(tmp_path: Path, stop: int) -> None:
    """In the middle of an epoch, at its end (four batches) and in the next one."""

    def train(steps: int, **options: Any) -> list[tuple[int, int, list[int]]]:
        recorder = Recorder()
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=3,
            max_steps=steps,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[ModelCheckpoint(tmp_path, save_last=True, every_n_train_steps=stop)],
        )
        trainer.fit(recorder, PackedLoader(users([6] * 8), 12, 5), **options)
        return recorder.seen

    first = train(stop)
    rest = train(-1, ckpt_path=tmp_path / "last.ckpt")
    assert len(first) == stop
    assert first + rest == train(-1)


def test_epochs_differ_and_seeds_differ_and_equal_seeds_agree() -> None:
    context = users([5] * 12)
    loader = PackedLoader(context, 12, 5, seed=1)
    first, second = ([content(batch) for batch in loader] for _ in range(2))
    assert first != second
    assert first == [content(batch) for batch in PackedLoader(context, 12, 5, seed=1)]
    assert first != [content(batch) for batch in PackedLoader(context, 12, 5, seed=0)]


def test_an_epoch_broken_off_is_followed_by_the_next() -> None:
    context = users([5] * 12)
    whole = PackedLoader(context, 12, 5)
    epochs = [[content(batch) for batch in whole] for _ in range(2)]
    loader = PackedLoader(context, 12, 5)
    next(iter(loader))
    assert [content(batch) for batch in loader] == epochs[1]


def test_without_shuffling_the_longest_come_first_in_every_epoch() -> None:
    loader = PackedLoader(users([2, 6, 4]), 6, 5, shuffle=False)
    orders = [[batch.users.tolist() for batch in loader] for _ in range(2)]
    assert orders == [[[1], [2], [0]]] * 2


@pytest.mark.parametrize("drop_last", [False, True])
def test_ranks_share_an_epoch(drop_last: bool) -> None:
    context = users([6] * 7)
    alone = [content(batch) for batch in PackedLoader(context, 6, 5)]
    ranks = [PackedLoader(context, 6, 5, drop_last=drop_last, rank=rank, world_size=2) for rank in (0, 1)]
    first, second = ([content(batch) for batch in loader] for loader in ranks)
    assert len(first) == len(second) == len(ranks[0]) == (3 if drop_last else 4)
    together = [batch for pair in zip(first, second, strict=True) for batch in pair]
    assert together == (alone[:6] if drop_last else [*alone, alone[0]])


def test_more_ranks_than_batches_still_get_one_each() -> None:
    loaders = [PackedLoader(users([4]), 6, 5, rank=rank, world_size=3) for rank in range(3)]
    assert [len(list(loader)) for loader in loaders] == [1, 1, 1]


def test_nothing_to_ask_gives_no_batches() -> None:
    loader = PackedLoader(users([1, 0]), 6, 5)
    assert len(loader) == 0 and list(loader) == []


def test_requests_that_cannot_be_met() -> None:
    with pytest.raises(ConfigurationError, match="positions=5: expected at least 6"):
        PackedLoader(users([3]), positions=5, max_length=5)
    with pytest.raises(ConfigurationError, match="batch_size=0: expected at least 1"):
        ExampleLoader(answered([3]), batch_size=0)
    with pytest.raises(ConfigurationError, match="saved position has seed 1"):
        PackedLoader(users([3]), 6, 5).load_state_dict({"epoch": 0, "batch": 0, "seed": 1})


def test_examples_in_their_order_with_cut_histories() -> None:
    examples = answered([3, 1, 4])
    loader = ExampleLoader(examples, batch_size=2, shuffle=False)
    batches = list(loader)
    assert [batch.context.users.tolist() for batch in batches] == [[0, 1], [2]] and len(loader) == 2
    assert [batch.item.tolist() for batch in batches] == [[7, 8], [9]]
    cut = next(iter(ExampleLoader(examples, batch_size=3, max_length=2, shuffle=False)))
    assert rows(cut.context.history) == [[1, 2], [100], [202, 203]]


@given(count=st.integers(0, 23), batch_size=st.integers(1, 9), world_size=st.integers(1, 4))
def test_every_example_comes_once_an_epoch(count: int, batch_size: int, world_size: int) -> None:
    """Or once more, where batches cannot be divided equally among the processes."""
    examples, chosen = answered([1] * 30), torch.arange(30).flip(0)[:count]

    def epochs(rank: int) -> list[list[list[int]]]:
        loader = ExampleLoader(examples, batch_size, seed=5, rows=chosen, rank=rank, world_size=world_size)
        found = [[batch.item.tolist() for batch in loader] for _ in range(2)]
        assert [len(epoch) for epoch in found] == [len(loader)] * 2
        return found

    by_rank = [epochs(rank) for rank in range(world_size)]
    for epoch in range(2):
        items = [item for part in by_rank for batch in part[epoch] for item in batch]
        assert set(items) == set((chosen + 7).tolist())
        assert len(items) <= count + batch_size * world_size
    if count > 12:
        assert by_rank[0][0] != by_rank[0][1], "another order each epoch"


@given(data=st.data(), count=st.integers(1, 17))
def test_a_loader_of_examples_is_resumed_after_any_batch(data: st.DataObject, count: int) -> None:
    def fresh() -> ExampleLoader:
        return ExampleLoader(answered([1] * count), 3, seed=2)

    whole = fresh()
    expected = [batch.item.tolist() for _ in range(2) for batch in whole]
    stop = data.draw(st.integers(0, len(whole)))
    first, second = fresh(), fresh()
    begun = [batch.item.tolist() for batch in islice(first, stop)]
    second.load_state_dict(first.state_dict())
    rest = [batch.item.tolist() for _ in range(2) for batch in second]
    assert begun + rest[: len(expected) - stop] == expected
