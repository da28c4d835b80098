from __future__ import annotations

from dataclasses import replace
from itertools import chain

import polars as pl
import pytest
import torch

from recsys.data.datasets.slate_loader import SlateLoader, SlateTestSet
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.errors import ConfigurationError, DataError
from recsys.types.jagged import Jagged
from tests.slate_logs import slate_log, tiny_log

TEST = torch.tensor([0, 0, 1, 0, 0, 1, 1, 1, 0, 1]).bool()
SPLIT = SlateSplit(~TEST, torch.zeros(10, dtype=torch.bool), TEST)


def log_from(source: list[str | None]) -> SlateLog:
    log = tiny_log()
    return replace(log, requests=log.requests.with_columns(source=pl.Series(source, dtype=pl.String)))


def held_out(limit: int | None = None) -> SlateTestSet:
    return SlateTestSet.from_split(log_from(["search", None] * 5), SPLIT, 2, limit)


def test_rows_users_and_clicks_are_those_of_the_log() -> None:
    held, log = held_out(), tiny_log()
    assert held.row.tolist() == [2, 5, 6, 7, 9]
    assert torch.equal(held.user, log.user_indices()[held.row])
    assert torch.equal(held.click, log.first_click()[held.row])
    slates = held.flat(batch.slates for batch in held.batches)
    assert torch.equal(slates[slates >= 0], log.slates.select(held.row).values)


def test_a_limit_cuts_batches_and_rows_alike() -> None:
    held = held_out(limit=1)
    assert len(held.batches) == 1
    assert held.row.tolist() == [2, 5, 6, 7] and len(held.click) == 4


def test_strata_are_what_training_showed_least_and_the_sources() -> None:
    strata = held_out().strata
    assert list(strata) == ["rare", "search"]
    assert strata["search"].tolist() == [True, False, True, False, False]
    held, log = held_out(), tiny_log()
    shown = torch.bincount(log.slates.select((~TEST).nonzero().squeeze(1)).values, minlength=6)
    slates = held.flat(batch.slates for batch in held.batches)
    clicked = held.click >= 0
    often = shown[slates.gather(1, held.click.clamp(min=0).unsqueeze(1)).squeeze(1)]
    assert torch.equal(strata["rare"], clicked & (often == often[clicked].min()))


def test_without_a_click_nothing_is_rare() -> None:
    only = SlateSplit(~TEST, torch.zeros(10, dtype=torch.bool), torch.arange(10) == 2)
    assert SlateTestSet.from_split(log_from([None] * 10), only).strata == {}


EVERY = torch.ones(10, dtype=torch.bool)


def tens(users: int = 10) -> SlateLoader:
    """User `u` has one slate, of item `u`, in batches of three users."""
    log = slate_log([[[one]] for one in range(users)], [[-1]] * users, [0] * users)
    return SlateLoader(log, torch.ones(users, dtype=torch.bool), users=3, seed=5)


def order(loader: SlateLoader) -> list[list[int]]:
    return [batch.slates.flatten().tolist() for batch in loader]


def test_a_batch_by_hand() -> None:
    (batch,) = SlateLoader(tiny_log(), EVERY, users=9, shuffle=False)
    assert batch.slates.tolist() == [
        [[0, 1, 2], [3, 1, -1], [2, -1, -1], [-1, -1, -1]],
        [[4, 0, -1], [-1, -1, -1], [-1, -1, -1], [-1, -1, -1]],
        [[1, 2, 3], [0, 4, 2], [3, -1, -1], [1, 0, -1]],
        [[2, 4, -1], [2, 1, 0], [-1, -1, -1], [-1, -1, -1]],
    ]
    assert batch.click.tolist() == [[1, 0, -1, -1], [-1, -1, -1, -1], [2, -1, 0, 1], [1, 2, -1, -1]]
    assert batch.loss_mask.sum(1).tolist() == [3, 1, 4, 2]
    assert torch.equal(batch.loss_mask, (batch.slates >= 0).any(2))


def test_users_come_with_what_was_before_and_never_with_what_comes_after() -> None:
    loss_mask = torch.tensor([0, 1, 0, 0, 0, 0, 0, 1, 0, 0]).bool()
    (batch,) = SlateLoader(tiny_log(), loss_mask, users=9, shuffle=False)
    assert batch.slates[:, :, 0].tolist() == [[0, 3, -1, -1], [1, 0, 3, 1]]
    assert batch.loss_mask.tolist() == [[False, True, False, False], [False, False, False, True]]


def test_an_epoch_has_every_user_once_in_an_order_of_its_own() -> None:
    loader = tens()
    first, second = order(loader), order(loader)
    assert len(loader) == 4 and [len(batch) for batch in first] == [3, 3, 3, 1]
    assert all(sorted(chain(*epoch)) == list(range(10)) for epoch in (first, second))
    assert first != second
    again = tens()
    assert [order(again), order(again)] == [first, second]


def test_a_resumed_epoch_goes_on_where_it_was() -> None:
    whole = tens()
    expected = order(whole) + order(whole)
    stopped, rest = tens(), tens()
    iterator = iter(stopped)
    seen = [next(iterator).slates.flatten().tolist() for _ in range(2)]
    rest.load_state_dict(stopped.state_dict())
    assert seen + order(rest) + order(rest) == expected
    finished = tens()
    order(finished)
    rest.load_state_dict(finished.state_dict())
    assert order(rest) == expected[4:]


def test_of_several_clicks_the_first_of_the_source() -> None:
    log = replace(slate_log([[[0, 1, 2]]], [[-1]], [0, 0, 0]), clicks=Jagged.from_rows([[2, 0]]))
    (batch,) = SlateLoader(log, torch.ones(1, dtype=torch.bool))
    assert batch.click.tolist() == [[2]]


def test_exposure_counts_the_slots_of_slates_that_count() -> None:
    exposure = Exposure.from_log(tiny_log(), EVERY)
    assert exposure.occurrences.tolist() == [5, 5, 6, 3, 3, 0] and exposure.impressions == 10
    exposure = Exposure.from_log(tiny_log(), torch.tensor([0, 1, 0, 0, 0, 0, 0, 1, 0, 0]).bool())
    assert exposure.occurrences.tolist() == [1, 2, 0, 1, 0, 0] and exposure.impressions == 2


def test_a_batch_moves_whole() -> None:
    batch = next(iter(tens()))
    moved = batch.to("meta")
    assert isinstance(moved, UserSlates) and len(moved) == 3
    assert all(part.is_meta for part in (moved.slates, moved.click, moved.loss_mask))


def test_what_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="users=0: expected at least 1"):
        SlateLoader(tiny_log(), EVERY, users=0)
    with pytest.raises(DataError, match="no slate of hand-made counts"):
        SlateLoader(tiny_log(), ~EVERY)
    with pytest.raises(ConfigurationError, match="seed is 5, the saved position has seed 6"):
        tens().load_state_dict({"epoch": 0, "batch": 0, "seed": 6})
