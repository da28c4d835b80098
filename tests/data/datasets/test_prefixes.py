from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from recsys.data.datasets.prefixes import prefix_rows, prefixes
from recsys.types.context import Context
from recsys.types.jagged import Jagged

ITEMS = st.lists(st.integers(0, 9), max_size=5)


def rows(jagged: Jagged) -> list[list[int]]:
    return [part.tolist() for part in jagged.values.split(jagged.lengths.tolist())]


@given(st.lists(st.tuples(ITEMS, ITEMS), max_size=5), st.booleans())
def test_against_a_loop(sequences: list[tuple[list[int], list[int]]], repeats: bool) -> None:
    history = Jagged.from_rows([items for items, _ in sequences])
    batch = Context(
        users=torch.arange(len(sequences)) + 100,
        history=history,
        excluded=Jagged.from_rows([before for _, before in sequences]),
        features={"weight": torch.arange(len(sequences)).float()},
    )
    examples, at = prefixes(batch, repeats), prefix_rows(batch)
    requests = examples.context
    expected = [
        (100 + user, items[: t + 1], before if repeats else before + items[: t + 1], items[t + 1])
        for user, (items, before) in enumerate(sequences)
        for t in range(len(items) - 1)
    ]
    got = zip(
        requests.users.tolist(), rows(requests.history), rows(requests.excluded), examples.item.tolist(), strict=True
    )
    assert list(got) == expected
    assert (requests.features["weight"] + 100).tolist() == requests.users.tolist()
    assert history.values[at].tolist() == [history[-1] for _, history, _, _ in expected]


def test_the_target_of_a_request_is_legal_where_data_knows_no_repeats() -> None:
    batch = Context(torch.tensor([0]), Jagged.from_rows([[3, 1, 2]]), Jagged.from_rows([[0]]))
    examples = prefixes(batch, repeats=False)
    assert not examples.context.illegal(4)[torch.arange(2), examples.item].any()


def test_candidates_travel_along() -> None:
    batch = Context(
        torch.tensor([0, 1]),
        Jagged.from_rows([[3, 1], [1, 2]]),
        Jagged.empty(2),
        candidates=Jagged.from_rows([[1], [2, 3]]),
    )
    requests = prefixes(batch, repeats=True).context
    assert requests.candidates is not None and rows(requests.candidates) == [[1], [2, 3]]
