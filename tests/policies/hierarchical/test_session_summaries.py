from __future__ import annotations

import math

import torch
from torch.nn.functional import normalize

from recsys.policies.hierarchical.session_summaries import realised_novelty, recent_vectors, session_summaries
from recsys.types.jagged import Jagged
from recsys.types.session_context import SessionContext

VECTORS = normalize(torch.randn(6, 3, generator=torch.Generator().manual_seed(0)), dim=1)
CONTEXT = SessionContext(
    torch.arange(3),
    Jagged.from_rows([[0, 1, 2, 1], [], [4]]),
    Jagged.empty(3),
    profile=torch.zeros(3, 1),
    session=torch.tensor([3, 1, 2]),
    step=torch.zeros(3, dtype=torch.int64),
    history_sessions=torch.tensor([[-1, 0, 1, 1, 2], [-1] * 5, [-1, -1, -1, -1, 1]]),
)


def cosine(one: int, other: int) -> float:
    return float(VECTORS[one] @ VECTORS[other])


def test_novelty_is_the_distance_to_the_nearest_item_before() -> None:
    items = torch.tensor([[5, 0, 1, 2, 1]])
    found = realised_novelty(VECTORS[items], torch.tensor([[False, True, True, True, True]]), 2)[0]
    expected = [0.0, 1.0, 1 - cosine(1, 0), 1 - max(cosine(2, 0), cosine(2, 1)), 0.0]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-6, rtol=0)
    lone = realised_novelty(VECTORS[items], torch.ones(1, 5).bool(), 1)[0, 4]
    assert abs(float(lone) - (1 - cosine(1, 2))) < 1e-6, "the window is one item"


def summary(novelty: float, number: float) -> list[float]:
    tone, amount = 4 * novelty - 2, math.log1p(number) - 1
    return [tone, amount, tone * amount]


def test_each_session_is_summed_up_by_itself() -> None:
    found = session_summaries(CONTEXT, VECTORS, 3, 2)
    assert found.shape == (3, 3, 3)
    novelty = (1 - cosine(1, 0) + 1 - max(cosine(2, 0), cosine(2, 1))) / 2
    expected = torch.tensor([summary(1.0, 1), summary(novelty, 2), summary(0.0, 1)])
    torch.testing.assert_close(found[0], expected, atol=1e-6, rtol=0)


def test_a_session_without_an_item_is_none_but_not_as_one_that_never_was() -> None:
    """The second user is in session 1, and came with nothing; the third consumed one item in session 1."""
    found = session_summaries(CONTEXT, VECTORS, 3, 2)
    assert found[1].tolist() == [[0.0, 0.0, 0.0]] * 2 + [[0.0, -1.0, 0.0]]
    assert found[2, 0].tolist() == [0.0, 0.0, 0.0] and found[2, 1].tolist() == [0.0, -1.0, 0.0]
    torch.testing.assert_close(found[2, 2], torch.tensor(summary(1.0, 1)))


def test_the_present_session_is_no_summary() -> None:
    later = CONTEXT.replace(history=Jagged.from_rows([[0, 1, 2, 1, 3], [], [4]]))
    later = later.replace(history_sessions=torch.tensor([[0, 1, 1, 2, 3], [-1] * 5, [-1, -1, -1, -1, 1]]))
    assert torch.equal(session_summaries(later, VECTORS, 3, 2), session_summaries(CONTEXT, VECTORS, 3, 2))


def test_recent_items_stand_last() -> None:
    had, known = recent_vectors(CONTEXT, VECTORS, 3)
    assert torch.equal(had[0], VECTORS[[1, 2, 1]]) and torch.equal(had[2, 2], VECTORS[4])
    assert known.tolist() == [[True] * 3, [False] * 3, [False, False, True]] and not had[~known].any()
