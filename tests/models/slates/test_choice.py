from __future__ import annotations

import pytest
import torch

from recsys.models.slates.choice import choice_log_prob, click_log_prob

SHOWN = torch.tensor([[True, True, True], [True, True, False], [True, False, False], [False, False, False]])


@pytest.fixture
def scores(generator: torch.Generator) -> torch.Tensor:
    return 3 * torch.randn(4, 3, generator=generator)


@pytest.fixture
def no_click(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(4, generator=generator)


def test_slots_and_no_click_together_are_certain(scores: torch.Tensor, no_click: torch.Tensor) -> None:
    probability = choice_log_prob(scores, SHOWN, no_click).exp()
    torch.testing.assert_close(probability.sum(1), torch.ones(4))
    assert torch.equal(probability[:, :3] > 0, SHOWN)


def test_the_odds_of_a_slot_are_those_of_its_score(scores: torch.Tensor, no_click: torch.Tensor) -> None:
    log_prob = choice_log_prob(scores, SHOWN, no_click)
    odds = log_prob[:, :3] - log_prob[:, 3:]
    torch.testing.assert_close(odds[SHOWN], (scores - no_click.unsqueeze(1))[SHOWN])


def test_permuted_slots_have_permuted_probabilities(scores: torch.Tensor, no_click: torch.Tensor) -> None:
    order = torch.tensor([2, 0, 1])
    turned = choice_log_prob(scores[:, order], SHOWN[:, order], no_click)
    torch.testing.assert_close(turned, choice_log_prob(scores, SHOWN, no_click)[:, [*order.tolist(), 3]])


@pytest.mark.parametrize("fill", [-1e4, 0.0, 1e4, float("inf"), float("nan")])
def test_empty_slots_change_nothing(scores: torch.Tensor, no_click: torch.Tensor, fill: float) -> None:
    longer = torch.cat([scores, torch.full((4, 2), fill)], 1)
    shown = torch.cat([SHOWN, torch.zeros(4, 2, dtype=torch.bool)], 1)
    for click in (-1, 0):
        clicks = torch.full((4,), click)
        expected = click_log_prob(scores, SHOWN, no_click, clicks)
        assert torch.equal(click_log_prob(longer, shown, no_click, clicks), expected)


def test_a_click_is_a_slot_or_none(scores: torch.Tensor, no_click: torch.Tensor) -> None:
    every = choice_log_prob(scores, SHOWN, no_click)
    for click, column in ((-1, 3), (0, 0), (2, 2)):
        assert torch.equal(click_log_prob(scores, SHOWN, no_click, torch.full((4,), click)), every[:, column])


def test_of_nothing_nothing_is_clicked_whatever_the_bias() -> None:
    nothing = torch.zeros(1, 2, dtype=torch.bool)
    for bias in (-torch.inf, -3.0, 5.0):
        log_prob = choice_log_prob(torch.zeros(1, 2), nothing, torch.tensor([bias]))
        assert log_prob.tolist() == [[-torch.inf, -torch.inf, 0.0]]


def test_the_bias_is_each_slates_own() -> None:
    slates = torch.zeros(2, 3, 2)
    bias = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]])
    found = choice_log_prob(slates, torch.ones(2, 3, 2, dtype=torch.bool), bias)[..., -1]
    torch.testing.assert_close(found.exp(), bias.exp() / (bias.exp() + 2))


def test_the_gradient_is_what_was_clicked_less_what_was_expected(scores: torch.Tensor, no_click: torch.Tensor) -> None:
    scores, no_click = scores.requires_grad_(), no_click.requires_grad_()
    click_log_prob(scores, SHOWN, no_click, torch.tensor([1, -1, 0, -1])).sum().backward()
    expected = -choice_log_prob(scores.detach(), SHOWN, no_click.detach()).exp()
    expected[[0, 1, 2, 3], [1, 3, 0, 3]] += 1
    torch.testing.assert_close(scores.grad, expected[:, :3])
    torch.testing.assert_close(no_click.grad, expected[:, 3])
