from __future__ import annotations

import torch

from recsys.data.datasets.user_slates import UserSlates
from recsys.models.slates.item_posterior import FlatItems
from recsys.models.slates.slate_model import SlateModel, answer_probability, forecast
from recsys.models.slates.user_state import GammaLinearUser

SLATES = torch.tensor([[[0, 1, 2], [3, 1, -1]], [[4, 0, -1], [-1, -1, -1]]])
CLICK = torch.tensor([[1, -1], [0, -1]])
BATCH = UserSlates(SLATES, CLICK, torch.ones(2, 2, dtype=torch.bool))


def model() -> SlateModel:
    torch.manual_seed(0)
    return SlateModel(FlatItems(5, 3, deviation=0.5, initial=1.0), GammaLinearUser(), slots=3)


def test_each_draw_is_a_distribution_over_what_is_shown_and_nothing() -> None:
    found = forecast(model(), BATCH, 7, torch.Generator().manual_seed(0))
    assert found.shape == (7, 2, 2, 4) and not found.requires_grad
    torch.testing.assert_close(found.sum(-1), torch.ones(7, 2, 2))
    assert not found[:, 0, 1, 2].any() and (found[:, 1, 1, 3] == 1).all()
    assert found[:, 0, 0, 0].std() > 0.01


def test_it_does_not_know_of_the_click_itself() -> None:
    first = forecast(model(), BATCH, 3, torch.Generator().manual_seed(0))
    other = UserSlates(SLATES, torch.tensor([[2, 0], [1, -1]]), BATCH.loss_mask)
    second = forecast(model(), other, 3, torch.Generator().manual_seed(0))
    assert torch.equal(first[:, :, 0], second[:, :, 0])
    assert not torch.isclose(first[:, 0, 1, :2], second[:, 0, 1, :2]).all()


def test_the_probability_of_an_answer_is_the_models_own() -> None:
    found = answer_probability(forecast(model(), BATCH, 1, torch.Generator().manual_seed(5))[0], CLICK)
    values = model().draw(SLATES, torch.Generator().manual_seed(5))
    torch.testing.assert_close(found, model().forecast_log_prob(values, SLATES, CLICK).exp())
