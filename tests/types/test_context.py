from __future__ import annotations

from dataclasses import replace

import torch

from recsys.types.context import Context
from recsys.types.jagged import Jagged


def example() -> Context:
    return Context(
        users=torch.tensor([4, 2]),
        history=Jagged.from_rows([[0, 1, 2], [3]]),
        excluded=Jagged.from_rows([[0, 1, 2], []]),
        candidates=Jagged.from_rows([[0, 3, 4], [1]]),
        features={"age": torch.tensor([[30.0], [40.0]])},
    )


def test_select_takes_every_part_along() -> None:
    swapped = example().select(torch.tensor([1, 0]))
    assert len(swapped) == 2
    assert swapped.users.tolist() == [2, 4]
    assert swapped.history.values.tolist() == [3, 0, 1, 2]
    assert swapped.excluded.lengths.tolist() == [0, 3]
    assert swapped.candidates is not None and swapped.candidates.values.tolist() == [1, 0, 3, 4]
    assert swapped.features["age"].tolist() == [[40.0], [30.0]]


def test_illegal_is_excluded_or_not_a_candidate() -> None:
    assert example().illegal(5).tolist() == [[True, True, True, False, False], [True, False, True, True, True]]


def test_recent_cuts_history_but_not_what_is_excluded() -> None:
    recent = example().recent(2)
    assert recent.history.to_padded(-1).tolist() == [[1, 2], [3, -1]]
    assert recent.excluded.lengths.tolist() == [3, 0]


def test_requests_restrict_by_what_they_exclude_or_by_candidates() -> None:
    anything = Context(torch.tensor([0]), Jagged.from_rows([[1, 2]]), Jagged.empty(1))
    assert not anything.restricts and example().restricts
    assert replace(anything, excluded=Jagged.from_rows([[3]])).restricts
    assert replace(anything, candidates=Jagged.from_rows([[3]])).restricts
