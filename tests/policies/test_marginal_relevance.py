from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recsys.errors import ConfigurationError, EmptyLegalSetError
from recsys.policies.bandits.greedy import Greedy
from recsys.policies.marginal_relevance import MaximalMarginalRelevance
from recsys.policies.scorer import Scorer
from recsys.types.context import Context
from recsys.types.jagged import Jagged

ITEMS = 9
VECTORS = torch.randn(ITEMS, 3, generator=torch.Generator().manual_seed(1))
REQUESTS = Context(
    torch.tensor([3, 1, 4]), Jagged.from_rows([[1, 2, 5], [], [8]]), Jagged.from_rows([[0], [], [0, 1, 2, 3, 4, 5, 6]])
)
"""The last one allows two items."""


class Fixed(Scorer):
    """Scores that are given."""

    num_items = ITEMS

    def __init__(self, scores: Tensor) -> None:
        self.given = scores

    def scores(self, context: Context) -> Tensor:
        return self.given.expand(len(context), -1)


class Vectors:
    """The same vectors for every request."""

    width = 3

    def __init__(self, vectors: Tensor = VECTORS) -> None:
        self.vectors = vectors

    def __call__(self, context: Context) -> Tensor:
        return self.vectors.expand(len(context), -1, -1)


SCORES = torch.rand(ITEMS, generator=torch.Generator().manual_seed(2)) * 40 - 70


def slates(policy: MaximalMarginalRelevance | Greedy, slots: int = 4) -> list[list[int]]:
    return policy.sample(REQUESTS, 1, slots, torch.Generator()).items[:, 0].tolist()


def by_hand(row: int, slots: int, trade_off: float, window: int) -> list[int]:
    legal = (~REQUESTS.illegal(ITEMS))[row].nonzero().flatten().tolist()
    history = REQUESTS.history.select(torch.tensor([row])).values.tolist()
    there, chosen = history[len(history) - min(window, len(history)) :], []
    least, most = min(SCORES[legal].tolist()), max(SCORES[legal].tolist())
    unit = VECTORS / VECTORS.norm(dim=1, keepdim=True)
    for _ in range(slots):
        worth = {
            item: trade_off * (float(SCORES[item]) - least) / (most - least)
            - (1 - trade_off) * max((float(unit[item] @ unit[other]) for other in there), default=0.0)
            for item in legal
            if item not in chosen
        }
        best = max(worth, key=worth.__getitem__) if worth else -1
        chosen.append(best)
        there = [*there, best] if best >= 0 else there
    return chosen


@pytest.mark.parametrize("trade_off", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("window", [0, 1, 2, 50])
def test_each_slot_is_the_best_by_the_formula(trade_off: float, window: int) -> None:
    policy = MaximalMarginalRelevance(Fixed(SCORES), Vectors(), trade_off, window)
    found = slates(policy)
    for row in range(3):
        if trade_off == 0 and not (window and REQUESTS.history.lengths[row]):
            continue  # nothing tells first items apart
        assert found[row] == by_hand(row, 4, trade_off, window)


def test_all_relevance_is_greedy() -> None:
    assert slates(MaximalMarginalRelevance(Fixed(SCORES), Vectors(), 1.0, 3)) == slates(Greedy(Fixed(SCORES)))


@pytest.mark.parametrize("change", [lambda one: one, lambda one: 3 * one - 8, lambda one: one * 1e30])
def test_the_unit_of_the_scores_does_not_matter(change: Callable[[Tensor], Tensor]) -> None:
    expected = slates(MaximalMarginalRelevance(Fixed(SCORES), Vectors(), 0.5))
    assert slates(MaximalMarginalRelevance(Fixed(change(SCORES)), Vectors(2 * VECTORS), 0.5)) == expected


def test_a_score_of_minus_infinity_is_the_least_relevant() -> None:
    scores = SCORES.clone()
    scores[4] = -torch.inf
    found = slates(MaximalMarginalRelevance(Fixed(scores), Vectors(), 1.0), ITEMS)
    assert found[1][-1] == 4 and sorted(found[1]) == list(range(ITEMS))


def test_equal_items_stand_in_an_order_that_the_user_fixes() -> None:
    policy = MaximalMarginalRelevance(Fixed(torch.zeros(ITEMS)), Vectors(torch.ones(ITEMS, 3)), 0.5)
    first = slates(policy, ITEMS)[1]
    assert sorted(first) == list(range(ITEMS)) and first != sorted(first) and first == slates(policy, ITEMS)[1]
    assert first == slates(Greedy(Fixed(torch.zeros(ITEMS))), ITEMS)[1]


def test_a_request_without_legal_items_is_refused() -> None:
    nothing = Context(torch.arange(1), Jagged.empty(1), Jagged.from_rows([list(range(ITEMS))]))
    with pytest.raises(EmptyLegalSetError):
        MaximalMarginalRelevance(Fixed(SCORES), Vectors()).sample(nothing, 1, 2, torch.Generator())


@pytest.mark.parametrize("wrong", [{"trade_off": 1.1}, {"trade_off": -0.1}, {"window": -1}])
def test_numbers_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        MaximalMarginalRelevance(Fixed(SCORES), Vectors(), **wrong)  # type: ignore[arg-type]
