from __future__ import annotations

from dataclasses import replace

import polars as pl
import torch

from recsys.data.held_out_slates import HeldOut
from recsys.data.slate_log import SlateLog
from recsys.data.slate_split import SlateSplit
from tests.slate_logs import tiny_log

TEST = torch.tensor([0, 0, 1, 0, 0, 1, 1, 1, 0, 1]).bool()
SPLIT = SlateSplit(~TEST, torch.zeros(10, dtype=torch.bool), TEST)


def log_from(source: list[str | None]) -> SlateLog:
    log = tiny_log()
    return replace(log, requests=log.requests.with_columns(source=pl.Series(source, dtype=pl.String)))


def held_out(limit: int | None = None) -> HeldOut:
    return HeldOut.of(log_from(["search", None] * 5), SPLIT, 2, limit)


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
    assert HeldOut.of(log_from([None] * 10), only).strata == {}
