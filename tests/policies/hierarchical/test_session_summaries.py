from __future__ import annotations

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


def test_each_session_is_summed_up_by_itself() -> None:
    found = session_summaries(CONTEXT, VECTORS, 3, 2)
    assert found.shape == (3, 3, 5)
    mean = (VECTORS[1] + VECTORS[2]) / 2
    novelty = (1 - cosine(1, 0) + 1 - max(cosine(2, 0), cosine(2, 1))) / 2
    of_session = {
        0: [*VECTORS[0].tolist(), 1.0, torch.tensor(1.0).log1p().item()],
        1: [*mean.tolist(), novelty, torch.tensor(2.0).log1p().item()],
        2: [*VECTORS[1].tolist(), 0.0, torch.tensor(1.0).log1p().item()],
    }
    torch.testing.assert_close(found[0], torch.tensor([of_session[one] for one in range(3)]), atol=1e-6, rtol=0)
    assert not found[1].any()
    assert not found[2, :2].any() and found[2, 2, 3] == 1


def test_the_present_session_is_no_summary() -> None:
    later = CONTEXT.replace(history=Jagged.from_rows([[0, 1, 2, 1, 3], [], [4]]))
    later = later.replace(history_sessions=torch.tensor([[0, 1, 1, 2, 3], [-1] * 5, [-1, -1, -1, -1, 1]]))
    assert torch.equal(session_summaries(later, VECTORS, 3, 2), session_summaries(CONTEXT, VECTORS, 3, 2))


def test_recent_items_stand_last() -> None:
    had, known = recent_vectors(CONTEXT, VECTORS, 3)
    assert torch.equal(had[0], VECTORS[[1, 2, 1]]) and torch.equal(had[2, 2], VECTORS[4])
    assert known.tolist() == [[True] * 3, [False] * 3, [False, False, True]] and not had[~known].any()
