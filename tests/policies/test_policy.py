from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from recsys.decode.catalogue import over_legal_set
from recsys.errors import EmptyLegalSetError
from recsys.policies.policy import ItemPolicy, Policy
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import SamplingMethod, Slates


class Fixed(ItemPolicy):
    """The same scores for every request."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = torch.nn.Parameter(scores)

    def catalogue_log_prob(self, context: Context) -> Tensor:
        return over_legal_set(self.scores.expand(len(context), -1), context)


def requests(excluded: list[list[int]], candidates: list[list[int]] | None = None) -> Context:
    rows = len(excluded)
    allowed = None if candidates is None else Jagged.from_rows(candidates)
    return Context(torch.arange(rows), Jagged.empty(rows), Jagged.from_rows(excluded), candidates=allowed)


def enumerated_slates(num_items: int, slots: int) -> Tensor:
    return torch.tensor([list(itertools.permutations(range(num_items), slots))])


def test_item_policies_answer_the_policy_contract() -> None:
    assert isinstance(Fixed(torch.zeros(3)), Policy)


def test_legal_set_is_what_is_allowed_and_not_excluded() -> None:
    context = requests([[0], [2, 2]], [[0, 1, 2], [2, 3]])
    log_prob = Fixed(torch.tensor([5.0, 1.0, 1.0, 7.0])).catalogue_log_prob(context)
    assert torch.allclose(log_prob.exp(), torch.tensor([[0, 0.5, 0.5, 0], [0, 0, 0, 1.0]]))


def test_an_empty_legal_set_is_refused_by_row() -> None:
    with pytest.raises(EmptyLegalSetError, match="request 1 of 2"):
        Fixed(torch.zeros(2)).catalogue_log_prob(requests([[], [0, 1]]))


def test_repeated_missing_and_illegal_items_have_no_probability() -> None:
    context = requests([[3]])
    slates = Slates(torch.tensor([[[0, 0], [1, -1], [3, 0], [0, 3], [2, 1]]]), torch.zeros(1, 5, 2))
    log_prob = Fixed(torch.zeros(4)).log_prob(context, slates)
    assert torch.equal(log_prob.isneginf(), torch.tensor([[[0, 1], [0, 1], [1, 1], [0, 1], [0, 0]]]).bool())
    assert torch.allclose(log_prob[0, 4].exp(), torch.tensor([1 / 3, 1 / 2]))


def test_slates_are_drawn_as_often_as_their_probability_says() -> None:
    policy, draws = Fixed(torch.tensor([0.0, 1.0, 2.0, -1.0])), 20_000
    context = requests([[3]])
    slates = policy.sample(context, draws, 2, torch.Generator().manual_seed(0))
    every = Slates(enumerated_slates(4, 2), torch.zeros(1, 12, 2))
    expected = policy.log_prob(context, every).sum(-1)[0].exp()
    seen = (slates.items[0].unsqueeze(1) == every.items[0]).all(-1).double().mean(0)
    assert slates.sampling_method is SamplingMethod.SAMPLE
    assert torch.allclose(seen, expected.double(), atol=4 * (0.25 / draws) ** 0.5)
    assert torch.equal(slates.log_prob, policy.log_prob(context, slates))


def test_slates_wider_than_the_legal_set_end_without_items() -> None:
    slates = Fixed(torch.zeros(3)).sample(requests([[1]]), 2, 4, torch.Generator().manual_seed(0))
    assert (slates.items[..., :2] >= 0).all() and (slates.items[..., 2:] == -1).all()
    assert slates.log_prob[..., 2:].isneginf().all() and not slates.mask.any()


def test_top_is_the_ranking_with_a_tail_of_nothing() -> None:
    slates = Fixed(torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0])).top(requests([[1], []]), 7)
    first, second = slates.items[..., 0].tolist()
    assert first[0] == 3 and sorted(first[1:4]) == [0, 2, 4] and first[4:] == [-1] * 3
    assert sorted(second[:2]) == [1, 3] and sorted(second[2:5]) == [0, 2, 4] and second[5:] == [-1] * 2
    assert slates.sampling_method is SamplingMethod.TOP
    assert torch.allclose(slates.log_prob.exp().sum((1, 2)), torch.ones(2))
    assert torch.equal(slates.log_prob.isneginf(), slates.items < 0)
