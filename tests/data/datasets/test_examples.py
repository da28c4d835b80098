from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.data.datasets.examples import SlateExamples
from recsys.data.datasets.slate_log import LoggedChannel, SlateLog
from recsys.errors import DataError
from recsys.types.example import Example
from recsys.types.feedback import ChannelKind
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod
from tests.slate_logs import tiny_log

EVERY = torch.arange(10)


def with_feedback() -> SlateLog:
    """The small log with seconds of each slot (its number among all slots) and stars of each slate."""
    log = tiny_log()
    seconds = Jagged(torch.arange(len(log.slates.values)).float(), log.slates.offsets)
    feedback = {
        "watch_time": LoggedChannel(seconds, ChannelKind.SECONDS),
        "stars": LoggedChannel(torch.arange(10.0), ChannelKind.RATING),
    }
    return replace(log, feedback=feedback)


def rows(jagged: Jagged) -> list[list[int]]:
    return [part.tolist() for part in jagged.values.split(jagged.lengths.tolist())]


def test_histories_hold_what_was_clicked_before() -> None:
    """Users saw 3, 1, 4 and 2 slates; -1 in the small log is no click."""
    examples = SlateExamples(tiny_log())
    found = examples.select(EVERY)
    assert rows(found.context.history) == [[], [1], [1, 3], [], [], [3], [3], [3, 3], [], [4]]
    assert found.context.users.tolist() == [0, 0, 0, 1, 2, 2, 2, 2, 3, 3]
    assert len(examples) == 10 and not found.context.restricts


def test_slates_and_feedback_are_those_of_the_log() -> None:
    found = SlateExamples(with_feedback()).select(torch.tensor([1, 9]))
    assert found.slates.items.tolist() == [[[3, 1, -1]], [[2, 1, 0]]]
    assert found.slates.sampling_method is SamplingMethod.GIVEN and (found.slates.log_prob == 0).all()
    assert found.feedback["click"].tolist() == [[[1, 0, 0]], [[0, 0, 1]]]
    assert found.feedback["watch_time"].tolist() == [[[3, 4, 0]], [[19, 20, 21]]]
    assert found.feedback["stars"].tolist() == [[1], [9]]
    assert {name: (one.kind.value, one.unit) for name, one in found.feedback.channels.items()} == {
        "click": ("binary", ""),
        "watch_time": ("seconds", "s"),
        "stars": ("rating", ""),
    }
    assert found.feedback.propensity is None


def test_any_rows_in_any_order() -> None:
    examples, order = SlateExamples(with_feedback()), torch.tensor([7, 0, 7, 3])
    found = examples.select(order)
    alone = Example.cat([examples.select(row) for row in order.split(1)])
    assert torch.equal(found.context.history.values, alone.context.history.values)
    assert torch.equal(found.context.history.offsets, alone.context.history.offsets)
    assert torch.equal(found.slates.items, alone.slates.items)
    for name in found.feedback.channels:
        assert torch.equal(found.feedback[name], alone.feedback[name])


def test_another_channel_may_say_what_was_taken() -> None:
    log = with_feedback()
    every_slot = SlateExamples(log, taken="watch_time").select(EVERY).context.history
    assert rows(every_slot)[:3] == [[], [1, 2], [1, 2, 3, 1]]  # the first slot of all has 0 seconds
    for name, message in (("stars", "found click, watch_time"), ("like", "no feedback 'like' with one number a slot")):
        with pytest.raises(DataError, match=message):
            SlateExamples(log, taken=name)


def test_what_one_second_showed_was_taken_after_it() -> None:
    log = tiny_log()
    times = pl.Series([0, 0, 2, 0, 0, 0, 0, 3, 0, 1])
    timed = replace(log, timed=True, requests=log.requests.with_columns(timestamp=times))
    found = rows(SlateExamples(timed).select(EVERY).context.history)
    assert found == [[], [], [1, 3], [], [], [], [], [3, 3], [], [4]]


def test_what_was_taken_before_the_log_comes_first_and_histories_are_cut_from_their_end() -> None:
    log = replace(tiny_log(), before=Jagged.from_rows([[5, 5], [], [0], []]))
    found = rows(SlateExamples(log).select(EVERY).context.history)
    assert found == [[5, 5], [5, 5, 1], [5, 5, 1, 3], [], [0], [0, 3], [0, 3], [0, 3, 3], [], [4]]
    cut = rows(SlateExamples(log, max_length=2).select(EVERY).context.history)
    assert cut == [row[-2:] for row in found]


def prefixes(log: SlateLog) -> Tensor:
    return torch.linspace(0.1, 1.0, len(log.slates.values), dtype=torch.float64)


def test_the_complete_history_holds_all_clicks_and_what_was_before() -> None:
    assert rows(SlateExamples(tiny_log()).complete()) == [[1, 3], [], [3, 3, 0], [4, 0]]
    log = replace(tiny_log(), before=Jagged.from_rows([[5, 5], [], [0], []]))
    assert rows(SlateExamples(log).complete()) == [[5, 5, 1, 3], [], [0, 3, 3, 0], [4, 0]]
    seconds = SlateExamples(with_feedback(), "watch_time").complete()
    assert sum(map(len, rows(seconds))) == len(tiny_log().slates.values) - 1, "the first slot was watched for 0 s"


def test_propensities_travel_with_the_slates() -> None:
    log = tiny_log()
    whole = replace(log, propensity=torch.arange(1.0, 11).double() / 16)
    assert SlateExamples(whole).select(torch.tensor([9, 0])).feedback.propensity.flatten().tolist() == [10 / 16, 1 / 16]
    slots = replace(log, prefix_propensities=Jagged(prefixes(log), log.slates.offsets))
    found = SlateExamples(slots).select(torch.tensor([1]))
    expected = prefixes(log)[3:5]
    torch.testing.assert_close(found.slates.log_prob[0, 0], torch.cat([expected.log(), torch.zeros(1)]).float())
    torch.testing.assert_close(found.feedback.propensity, expected.prod().view(1, 1))
