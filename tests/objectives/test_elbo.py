from __future__ import annotations

import pytest
import torch

from recsys.data.datasets.slate_loader import SlateLoader
from recsys.data.datasets.user_slates import Exposure
from recsys.models.slates.item_posterior import GroupedItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser
from recsys.objectives.elbo import negative_elbo_share, sample_initial_states, slate_negative_elbo
from tests.slate_logs import tiny_log

OWN, SHARED = torch.tensor([0.3, 1.7, 0.9]), torch.tensor(2.5)


@pytest.fixture
def answers(generator: torch.Generator) -> torch.Tensor:
    return -torch.rand(6, generator=generator)


def test_the_shares_of_parts_sum_to_the_bound(answers: torch.Tensor) -> None:
    parts = torch.tensor([[0.2, 0.0, 1.0], [0.5, 0.25, 0.0], [0.3, 0.75, 0.0]])
    rows = answers.split([1, 2, 3])
    found = sum(
        negative_elbo_share(own, OWN, share, SHARED, len(own) / 6) for own, share in zip(rows, parts, strict=True)
    )
    torch.testing.assert_close(found, -answers.sum() + OWN.sum() + SHARED)


def test_without_answers_only_what_was_asked_for_remains() -> None:
    nothing = torch.zeros(0)
    assert negative_elbo_share(nothing, nothing, nothing, SHARED, 0.0) == 0


EVERY = torch.ones(10, dtype=torch.bool)


def model() -> SlateModel:
    torch.manual_seed(0)
    return SlateModel(GroupedItems(torch.tensor([0, 0, 0, 1, 1, 1]), 3, deviation=0.3), GammaLinearUser(), slots=3)


@pytest.mark.parametrize("starts", [1, 4])
def test_a_user_has_one_draw_of_items_and_several_of_the_start(starts: int) -> None:
    made = model()
    (batch,) = SlateLoader(tiny_log(), EVERY, users=9, shuffle=False)
    values = sample_initial_states(made, batch.slates, starts, torch.Generator().manual_seed(1))
    first = made.draw(batch.slates, torch.Generator().manual_seed(1))
    assert values.initial_noise.shape == (starts, *first.initial_noise.shape)
    assert torch.equal(values.vectors, first.vectors) and torch.equal(values.no_click, first.no_click)
    for number, start in enumerate(values.initial_noise):
        assert torch.equal(start, first.initial_noise) == (number == 0)


def test_more_starts_raise_the_bound() -> None:
    made = model()
    (batch,) = SlateLoader(tiny_log(), EVERY, users=9, shuffle=False)
    exposure = Exposure.from_log(tiny_log(), EVERY)
    bounds = []
    for starts in (1, 30):
        draws = [
            slate_negative_elbo(
                made,
                sample_initial_states(made, batch.slates, starts, torch.Generator().manual_seed(seed)),
                batch,
                exposure,
            )
            for seed in range(60)
        ]
        bounds.append(torch.stack(draws).mean().item())
    assert bounds[1] < bounds[0] - 0.01
