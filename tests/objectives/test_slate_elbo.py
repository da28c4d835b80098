"""`tests/systems/test_slate.py` holds the bound to its definition; here is what it is evaluated at."""

from __future__ import annotations

import pytest
import torch

from recsys.data.slate_loader import SlateLoader
from recsys.data.user_slates import Exposure
from recsys.models.gamma_linear_user import GammaLinearUser
from recsys.models.grouped_items import GroupedItems
from recsys.models.slate_model import SlateModel
from recsys.objectives.slate_elbo import draw_starts, slate_negative_elbo
from tests.slate_logs import tiny_log

EVERY = torch.ones(10, dtype=torch.bool)


def model() -> SlateModel:
    torch.manual_seed(0)
    return SlateModel(GroupedItems(torch.tensor([0, 0, 0, 1, 1, 1]), 3, deviation=0.3), GammaLinearUser(), slots=3)


@pytest.mark.parametrize("starts", [1, 4])
def test_a_user_has_one_draw_of_items_and_several_of_the_start(starts: int) -> None:
    made = model()
    (batch,) = SlateLoader(tiny_log(), EVERY, users=9, shuffle=False)
    values = draw_starts(made, batch.slates, starts, torch.Generator().manual_seed(1))
    first = made.draw(batch.slates, torch.Generator().manual_seed(1))
    assert values.start.shape == (starts, *first.start.shape)
    assert torch.equal(values.vectors, first.vectors) and torch.equal(values.no_click, first.no_click)
    for number, start in enumerate(values.start):
        assert torch.equal(start, first.start) == (number == 0)


def test_more_starts_raise_the_bound() -> None:
    made = model()
    (batch,) = SlateLoader(tiny_log(), EVERY, users=9, shuffle=False)
    exposure = Exposure.of(tiny_log(), EVERY)
    bounds = []
    for starts in (1, 30):
        draws = [
            slate_negative_elbo(
                made, draw_starts(made, batch.slates, starts, torch.Generator().manual_seed(seed)), batch, exposure
            )
            for seed in range(60)
        ]
        bounds.append(torch.stack(draws).mean().item())
    assert bounds[1] < bounds[0] - 0.01
