from __future__ import annotations

import torch

from recsys.data.logs.batches import LoggedActions, LoggedEpisodes, LoggedSlates
from recsys.replay.batch import in_half, take, units_of
from recsys.types.context import Context
from recsys.types.jagged import Jagged

ONE = torch.ones(3)


def test_halves_are_of_equal_size_and_have_nothing_in_common() -> None:
    units = torch.arange(100_001)
    first, second = in_half(units, 0), in_half(units, 1)
    assert not (first & second).any() and (first | second).all()
    assert abs(int(first.sum()) - 50_000) < 100


def test_every_third_or_seventh_unit_is_split_evenly_too() -> None:
    for step in (2, 3, 7, 64):
        assert abs(float(in_half(torch.arange(0, 64_000, step), 0).double().mean()) - 0.5) < 0.02


def test_a_units_half_does_not_depend_on_the_batch() -> None:
    units = torch.randint(0, 1_000, (500,))
    assert torch.equal(in_half(units, 1)[100:200], in_half(units[100:200], 1))


def test_rows_of_rounds_are_taken_whole() -> None:
    rounds = LoggedActions(torch.arange(3), torch.tensor([2, 0, 1]), ONE, None, torch.tensor([5, 6, 5]))
    for rows in (torch.tensor([0, 2]), torch.tensor([True, False, True])):
        found = take(rounds, rows)
        assert found.request.tolist() == [0, 2] and found.action.tolist() == [2, 1]
        assert found.propensity is None and len(found) == 2
    assert len(take(rounds, torch.zeros(3, dtype=torch.bool))) == 0


def test_the_context_of_slates_goes_with_them() -> None:
    context = Context(torch.arange(3), Jagged.from_rows([[1], [], [2, 3]]), Jagged.empty(3))
    slates = LoggedSlates(torch.arange(3), torch.arange(6).view(3, 2), torch.ones(3, 2), context=context, by_slot=False)
    found = take(slates, torch.tensor([2]))
    assert found.context is not None and found.context.history.values.tolist() == [2, 3]
    assert found.items.tolist() == [[4, 5]] and not found.by_slot


def test_units_are_users_else_episodes_or_requests() -> None:
    users = torch.tensor([5, 6, 5])
    assert units_of(LoggedActions(torch.arange(3), torch.arange(3), ONE, user=users)) is users
    assert units_of(LoggedActions(torch.arange(3, 6), torch.arange(3), ONE)).tolist() == [3, 4, 5]
    steps = torch.ones(3, 1)
    assert units_of(LoggedEpisodes(torch.arange(7, 10), steps.long(), steps, steps, steps > 0)).tolist() == [7, 8, 9]
