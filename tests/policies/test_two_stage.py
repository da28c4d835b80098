from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.errors import EmptyLegalSetError
from recsys.nn.affinity import inner_product
from recsys.policies.bandits.greedy import Greedy, UniformPolicy
from recsys.policies.bandits.posteriors import LinearPosterior
from recsys.policies.bandits.thompson import InSlateThompson
from recsys.policies.two_stage import RETRIEVED, TwoStagePolicy, items_at, positions_of
from recsys.retrieve.faiss import FaissIndex
from recsys.retrieve.index import ExactIndex
from recsys.types.context import Context
from recsys.types.feedback import Feedback
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates
from recsys.types.transition import Transition
from tests.policies.contexts import requests

ITEMS, WIDTH = 30, 3
VECTORS = torch.randn(ITEMS, WIDTH, generator=torch.Generator().manual_seed(0))
ASKED = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(1))


def query(context: Context) -> Tensor:
    return ASKED[context.users]


class Shortlisted:
    """The vectors of the shortlisted items."""

    width = WIDTH

    def __call__(self, context: Context) -> Tensor:
        return VECTORS[context.features[RETRIEVED]]


class Near:
    """Scores of the shortlisted items, by the query."""

    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def scores(self, context: Context) -> Tensor:
        return inner_product(query(context), VECTORS[context.features[RETRIEVED]])


def shortlist(size: int, policy=None) -> TwoStagePolicy:
    return TwoStagePolicy(query, ExactIndex(VECTORS, inner_product), size, policy or UniformPolicy(size))


def ranked(excluded: list[list[int]]) -> list[list[int]]:
    order = inner_product(ASKED, VECTORS).argsort(1, descending=True).tolist()
    return [[item for item in row if item not in out] for row, out in zip(order, excluded, strict=True)]


def test_the_shortlist_is_the_best_of_what_a_request_allows() -> None:
    order = ranked([[]] * 4)
    excluded = [[], order[1][:5], [*order[2][1:3], order[2][1], order[2][-1]], order[3][::2]]
    local = shortlist(6).requests(requests([[1], [], [2], [3]], excluded))
    assert local.features[RETRIEVED].tolist() == [row[:6] for row in ranked(excluded)]
    assert not local.excluded.values.numel() and local.candidates is None
    assert local.history.values.tolist() == [1, 2, 3]


def test_where_little_is_left_positions_are_empty() -> None:
    order = ranked([[]] * 4)
    excluded = [order[0][:-2], [], [], []]
    local = shortlist(4).requests(requests([[]] * 4, excluded))
    assert local.features[RETRIEVED][0].tolist() == [*order[0][-2:], -1, -1]
    assert local.excluded.values.tolist() == [2, 3] and local.excluded.lengths.tolist() == [2, 0, 0, 0]
    larger = shortlist(ITEMS + 2).requests(requests([[]] * 4))
    assert (larger.features[RETRIEVED][:, ITEMS:] == -1).all()


def test_candidates_are_the_shortlist_found_ones_first() -> None:
    order = ranked([[]] * 4)
    candidates = [
        [order[0][9], order[0][8], order[0][9]],
        order[1][::-1],
        [order[2][20], order[2][3], order[2][2]],
        [5],
    ]
    excluded = [[], [order[1][0]], [order[2][2]], []]
    asked = replace(requests([[]] * 4, excluded), candidates=Jagged.from_rows(candidates))
    found = shortlist(4).requests(asked).features[RETRIEVED].tolist()
    assert found[0] == [order[0][9], order[0][8], -1, -1]
    assert found[1] == order[1][1:5]
    assert found[2] == [order[2][3], order[2][20], -1, -1]
    assert found[3] == [5, -1, -1, -1]


def test_as_long_as_the_catalogue_it_is_the_policy_itself() -> None:
    class Every:
        num_items = ITEMS

        def scores(self, context: Context) -> Tensor:
            return inner_product(query(context), VECTORS)

    context = requests([[]] * 4, [[], [1], [2, 3], [4]])
    whole = Greedy(Every()).sample(context, 1, 5, torch.Generator())
    short = shortlist(ITEMS, Greedy(Near(ITEMS))).sample(context, 1, 5, torch.Generator())
    assert torch.equal(short.items, whole.items)


def test_items_outside_have_no_probability_and_those_inside_the_inner_policys() -> None:
    order = ranked([[]] * 4)
    items = torch.tensor([[[row[0], row[2]], [row[1], row[9]], [row[9], row[1]], [row[2], -1]] for row in order])
    log_prob = shortlist(5).log_prob(requests([[]] * 4), Slates(items, torch.zeros(items.shape)))
    chance = torch.tensor([[1 / 5, 1 / 4], [1 / 5, 0], [0, 0], [1 / 5, 0]]).expand(4, -1, -1)
    torch.testing.assert_close(log_prob.exp(), chance)


def test_probabilities_do_not_depend_on_what_others_exclude() -> None:
    order = ranked([[]] * 4)
    policy = shortlist(5, InSlateThompson(LinearPosterior(Shortlisted(), 5, pool=16)))
    context = requests([[]] * 4, [[], order[1][:20], [3], []])
    slates = policy.sample(context, 3, 2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(policy.log_prob(context, slates), slates.log_prob)
    alone = policy.log_prob(context.select(torch.tensor([0])), Slates(slates.items[:1], slates.log_prob[:1]))
    torch.testing.assert_close(alone, slates.log_prob[:1])


def test_learning_over_a_shortlist_is_learning_of_its_items() -> None:
    class Every:
        width = WIDTH

        def __call__(self, context: Context) -> Tensor:
            return VECTORS.expand(len(context), -1, -1)

    order, context = ranked([[]] * 4), requests([[]] * 4)
    items = torch.tensor([[[row[3], row[0]]] for row in order])
    outside = torch.tensor([[[row[3], row[20]]] for row in order])
    feedback = Feedback.of_reward(torch.tensor([[[1.0, 0.5]]]).expand(4, -1, -1))
    whole, short, less = (LinearPosterior(Every(), ITEMS), *(LinearPosterior(Shortlisted(), 8) for _ in range(2)))
    first = items[..., :1]
    InSlateThompson(whole).update(
        Transition.one_round(context, Slates(items, torch.zeros(4, 1, 2)), feedback), torch.Generator()
    )
    policy = shortlist(8, InSlateThompson(short))
    policy.update(Transition.one_round(context, Slates(items, torch.zeros(4, 1, 2)), feedback), torch.Generator())
    torch.testing.assert_close(short.precision, whole.precision)
    torch.testing.assert_close(short.mean, whole.mean)
    shortlist(8, InSlateThompson(less)).update(
        Transition.one_round(context, Slates(outside, torch.zeros(4, 1, 2)), feedback), torch.Generator()
    )
    one = LinearPosterior(Every(), ITEMS)
    reward = Feedback.of_reward(feedback.reward[..., :1])
    InSlateThompson(one).update(
        Transition.one_round(context, Slates(first, torch.zeros(4, 1, 1)), reward), torch.Generator()
    )
    torch.testing.assert_close(less.precision, one.precision)


def test_an_index_that_finds_nothing_legal_is_refused() -> None:
    nothing = requests([[]], [list(range(ITEMS))])
    with pytest.raises(EmptyLegalSetError, match="request 0 of 1"):
        shortlist(3).sample(nothing, 1, 1, torch.Generator())


def test_an_approximate_index_serves_as_well() -> None:
    index = FaissIndex.build(VECTORS, "HNSW8", "efSearch=64")
    policy = TwoStagePolicy(query, index, 5, Greedy(Near(5)))
    exact = shortlist(5, Greedy(Near(5)))
    context = requests([[]] * 4)
    one, other = (each.sample(context, 1, 3, torch.Generator()).items for each in (policy, exact))
    assert torch.equal(one, other)


def test_positions_and_items_are_inverse() -> None:
    items = torch.tensor([[7, 2, -1], [3, 9, 4]])
    named = torch.tensor([[[2, 7], [5, -1]], [[4, 4], [3, 10]]])
    positions = positions_of(items, named)
    assert positions.tolist() == [[[1, 0], [-1, -1]], [[2, 2], [0, -1]]]
    assert torch.equal(items_at(items, positions), torch.where(positions >= 0, named, -1))
