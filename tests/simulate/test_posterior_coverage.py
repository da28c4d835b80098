"""A model that was never trained and knows the truth, to a known uncertainty."""

from __future__ import annotations

import pytest
import torch

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.errors import ConfigurationError
from recsys.models.slates.item_posterior import FlatItems
from recsys.models.slates.slate_model import SlateModel
from recsys.models.slates.user_state import GammaLinearUser
from recsys.nn.affinity import inner_product
from recsys.simulate.choice_models import MultinomialLogit, MultinomialProportional
from recsys.simulate.planted_groups import PlantedGroups
from recsys.simulate.posterior_coverage import click_coverage, distance_coverage, no_click_coverage
from recsys.simulate.simulated_slates import SimulatedSlates

WORLD = SimulatedSlates(
    PlantedGroups(60, 5, 6, sharpness=4.0, steps=5, choice=MultinomialLogit(no_click=-2.0)), users=100, longest=10
)
LOG = prepare_slates(WORLD)


def knowing(deviation: float, off: float) -> SlateModel:
    """Every number has the truth in the middle of its posterior, or as many deviations beside it as `off` says."""
    model = SlateModel(FlatItems(LOG.num_items, 6, deviation=deviation), GammaLinearUser(), slots=10)
    noise = torch.Generator().manual_seed(0)
    truth = WORLD.item_vectors(LOG)
    with torch.no_grad():
        model.items.vectors.mean.copy_(truth + off * deviation * torch.randn(truth.shape, generator=noise))
        model.no_click.log_deviation.fill_(torch.tensor(deviation).log())
        model.no_click.mean.copy_(-2.0 + off * deviation * torch.randn(10, 1, generator=noise))
    return model


@pytest.mark.parametrize(
    ("off", "low", "high"), [(1.0, 0.82, 0.97), (5.0, 0.0, 0.5)], ids=["as sure as it is", "too sure"]
)
def test_intervals_hold_the_truth_as_often_as_they_say(off: float, low: float, high: float) -> None:
    model, generator = knowing(0.05, off), torch.Generator().manual_seed(1)
    assert low < distance_coverage(model, LOG, WORLD, generator).float().mean() < high
    found = no_click_coverage(model, LOG, WORLD, generator)
    assert found.shape == LOG.slates.lengths.unique().shape
    assert found.float().mean() > 0.65 if off == 1.0 else found.float().mean() < 0.65


def test_empty_slots_are_not_counted() -> None:
    truth = torch.tensor([[0.5, 0.0, 0.5], [0.25, 0.25, 0.5]])
    draws = truth + torch.linspace(-0.1, 0.1, 21).view(-1, 1, 1)
    assert click_coverage(draws, truth).tolist() == [True, True, True]
    assert click_coverage(draws + 0.2, truth).tolist() == [False, False, False]


def test_a_world_without_a_score_of_no_click_is_refused() -> None:
    other = SimulatedSlates(PlantedGroups(60, 5, 6, choice=MultinomialProportional()), users=10)
    with pytest.raises(ConfigurationError, match="MultinomialProportional has no score of no click"):
        no_click_coverage(knowing(0.05, 1.0), LOG, other, torch.Generator())


def test_distances_are_compared_with_distances_only() -> None:
    other = SimulatedSlates(PlantedGroups(60, 5, 6, affinity=inner_product), users=10)
    with pytest.raises(ConfigurationError, match="where scores are distances"):
        distance_coverage(knowing(0.05, 1.0), LOG, other, torch.Generator())
