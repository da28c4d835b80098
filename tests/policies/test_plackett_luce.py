from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from recsys.policies.plackett_luce import draw_slates, slot_log_prob, slot_marginals


def enumerated_slates(num_items: int, slots: int) -> Tensor:
    return torch.tensor([list(itertools.permutations(range(num_items), slots))])


@pytest.mark.parametrize(
    "scores",
    [
        [0.0, 1.0, 2.0, 3.0, 4.0],
        [40.0, 0.0, -40.0, 39.0, -80.0],
        [0.0] * 5,
        [0.0, -1e4, -1e4, -1e4, -1e4],
        [0.0, -1e7, -1e7, -1e7, -2e7],
        [0.0, -1e9, -1e9, -1e9, -1e9],
    ],
)
@pytest.mark.parametrize("slots", [1, 2, 3])
def test_slot_probabilities_equal_the_definition(scores: list[float], slots: int) -> None:
    log_prob = torch.tensor([scores]).log_softmax(-1).double()
    slates = enumerated_slates(5, slots)
    expected = torch.empty(slates.shape, dtype=torch.float64)
    for index, slate in enumerate(slates[0].tolist()):
        left = log_prob[0].clone()
        for slot, item in enumerate(slate):
            expected[0, index, slot] = left[item] - left.logsumexp(-1)
            left[item] = -torch.inf
    single = slot_log_prob(log_prob.float(), slates)
    assert torch.allclose(single.double(), expected, atol=1e-4, rtol=1e-5)
    assert torch.allclose(single.double().exp(), expected.exp(), atol=1e-4)
    assert torch.allclose(single.sum(-1).exp().sum(), torch.tensor(1.0), atol=1e-4)


@pytest.mark.parametrize("size", [1e2, 1e5, 1e7, 1e9])
def test_items_behind_one_that_has_all_the_probability_are_drawn_as_often_as_they_should(size: float) -> None:
    """Four standard errors of a share of 20 000 draws."""
    log_prob = torch.tensor([[0.0, -size, -size, -size, -size, -3 * size]]).log_softmax(-1)
    drawn = draw_slates(log_prob, 20_000, 3, torch.Generator().manual_seed(0))[0]
    assert (drawn[:, 0] == 0).all()
    for slot in (1, 2):
        shares = torch.bincount(drawn[:, slot], minlength=6)[1:5] / len(drawn)
        assert (shares - 0.25).abs().max() < 4 * (0.25 * 0.75 / len(drawn)) ** 0.5


def test_gradient_of_a_slate_is_the_finite_difference() -> None:
    scores = torch.tensor([[0.3, -1.0, 2.0, 0.5]], dtype=torch.float64, requires_grad=True)
    slates = torch.tensor([[[2, 0, 1, 3], [3, 1, 0, 2], [0, 2, -1, -1]]])

    def whole(scores: Tensor) -> Tensor:
        log_prob = slot_log_prob(scores.log_softmax(-1), slates)
        return log_prob.masked_fill(log_prob.isneginf(), 0).sum()

    assert torch.autograd.gradcheck(whole, (scores,))


def test_equal_seeds_give_equal_draws_and_others_do_not() -> None:
    log_prob = torch.zeros(2, 50).log_softmax(-1)
    first, again, other = (draw_slates(log_prob, 3, 2, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_draws_leave_the_slots_empty_that_nothing_is_left_for() -> None:
    log_prob = torch.tensor([[0.5, 0.0, 0.5]]).log()
    items = draw_slates(log_prob, 10, 5, torch.Generator().manual_seed(0))
    assert torch.equal(items[..., :2].sort(-1).values, torch.tensor([0, 2]).expand(1, 10, 2))
    assert (items[..., 2:] == -1).all()


def listed(log_prob: Tensor, slots: int) -> Tensor:
    """`[B, N, slots]`, summed over every slate."""
    rows, num_items = log_prob.shape
    slates = torch.tensor(list(itertools.permutations(range(num_items), slots)))
    chance = slot_log_prob(log_prob, slates.expand(rows, -1, -1)).sum(-1).exp()
    found = log_prob.new_zeros(rows, num_items, slots)
    for slot in range(slots):
        found[..., slot].index_add_(1, slates[:, slot], chance)
    return found


@pytest.mark.parametrize("spread", [0.0, 1.0, 15.0])
@pytest.mark.parametrize("slots", [1, 2, 5, 6])
def test_equal_the_sum_over_every_slate(spread: float, slots: int) -> None:
    log_prob = (spread * torch.randn(3, 6, dtype=torch.float64)).log_softmax(-1)
    found = slot_marginals(log_prob, torch.arange(6).expand(3, -1), slots)
    assert torch.allclose(found, listed(log_prob, slots), rtol=1e-11, atol=1e-13)


def test_items_that_come_twice_or_not_at_all_or_never() -> None:
    log_prob = torch.tensor([[0.5, 0.0, 0.3, 0.2], [0.1, 0.4, 0.0, 0.5]], dtype=torch.float64).log()
    items = torch.tensor([[2, 2, -1, 1, 0], [-1, 0, 0, 3, 2]])
    found = slot_marginals(log_prob, items, 3)
    every = listed(log_prob, 3)
    expected = every.gather(1, items.clamp(min=0).unsqueeze(2).expand(-1, -1, 3)).masked_fill(items.unsqueeze(2) < 0, 0)
    assert torch.allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize(("num_items", "slots"), [(1000, 10), (300, 40)])
def test_equal_items_are_anywhere_alike_in_large_catalogues(num_items: int, slots: int) -> None:
    log_prob = torch.zeros(1, num_items, dtype=torch.float64).log_softmax(-1)
    found = slot_marginals(log_prob, torch.tensor([[0, num_items - 1]]), slots)
    assert torch.allclose(found, torch.full_like(found, 1 / num_items), rtol=1e-10)


def test_more_slots_than_items_and_rows_of_unlike_sizes() -> None:
    log_prob = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]], dtype=torch.float64).log()
    found = slot_marginals(log_prob, torch.tensor([[0, 1], [0, 1]]), 4)
    assert torch.allclose(found[0], torch.tensor([[0.5, 0.5, 0, 0]] * 2, dtype=torch.float64), atol=1e-13)
    assert torch.allclose(found[1].sum(-1), torch.ones(2, dtype=torch.float64))


def test_drawn_slates_agree() -> None:
    log_prob = torch.randn(1, 30, dtype=torch.float64).log_softmax(-1)
    drawn = draw_slates(log_prob, 40_000, 4, torch.Generator().manual_seed(0))[0]
    found = slot_marginals(log_prob, torch.arange(30)[None], 4)[0]
    frequency = torch.stack([torch.bincount(drawn[:, slot], minlength=30) for slot in range(4)], -1) / 40_000
    assert ((frequency - found).abs() < 5 * (found * (1 - found) / 40_000).sqrt() + 1e-4).all()
