from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.data.datasets.prepare_slates import prepare_slates
from recsys.data.sources.source import SlateSource
from recsys.errors import ConfigurationError
from recsys.metrics.calibration import reliability
from recsys.simulate.choice_models import MultinomialLogit
from recsys.simulate.click_models import DependentClickModel
from recsys.simulate.planted_groups import PlantedGroups
from recsys.simulate.simulated_slates import SimulatedSlates
from tests.slate_logs import tiny_log

WORLD = PlantedGroups(40, 5, 3, sharpness=4.0, steps=6, choice=MultinomialLogit(no_click=-2.0))
SOURCE = SimulatedSlates(WORLD, users=400, shortest=2, longest=5)


def test_it_is_a_source_whose_log_is_what_was_played() -> None:
    assert isinstance(SOURCE, SlateSource)
    log, played = prepare_slates(SOURCE), SOURCE.sessions
    assert (log.num_users, len(log)) == (400, 2400)
    assert log.slates.lengths.unique().tolist() == [2, 3, 4, 5]
    ids = torch.from_numpy(log.items["item_id"].to_numpy().copy())
    shown = played.slates.flatten(0, 1)
    assert torch.equal(ids[log.slates.values], shown[shown >= 0])
    assert torch.equal(log.first_click(), played.click.flatten())
    assert torch.equal(torch.from_numpy(log.items["group"].to_numpy().astype("int64")), WORLD.group[ids])
    assert (log.requests["source"] == "search").to_list() == played.search.flatten().tolist()


def test_no_item_twice_in_a_slate() -> None:
    for slate in SOURCE.sessions.slates.flatten(0, 1):
        shown = slate[slate >= 0]
        assert len(shown.unique()) == len(shown)


def test_clicks_happen_as_often_as_the_truth_says() -> None:
    log, truth = prepare_slates(SOURCE), SOURCE.click_probability(prepare_slates(SOURCE))
    torch.testing.assert_close(truth.sum(1), torch.ones(2400))
    slots = torch.arange(5)
    shown = truth[:, :-1] > 0
    clicked = slots == log.first_click().unsqueeze(1)
    found = reliability(truth[:, :-1][shown], clicked[shown])
    assert found.error < 0.02
    none = (log.first_click() < 0).float().mean()
    assert none == pytest.approx(truth[:, -1].mean().item(), abs=0.03)


def test_searches_are_nearer_and_recommendations_know_few_items() -> None:
    played = replace(SOURCE, nearness=4.0).sessions
    clicked = (played.click >= 0).float()
    assert clicked[played.search].mean() > clicked[~played.search].mean() + 0.07
    assert played.search.float().mean() == pytest.approx(0.7, abs=0.05)
    first = played.slates[~played.search]
    share = torch.bincount(first[first >= 0], minlength=40).float()
    assert share[:5].mean() > 3 * share[-5:].mean()
    alike = replace(SOURCE, popular=0.0, search=0.0).sessions.slates
    counts = torch.bincount(alike[alike >= 0], minlength=40).float()
    assert counts.max() < 1.5 * counts.min()


def test_equal_seeds_give_equal_logs() -> None:
    one, other, third = (prepare_slates(replace(SOURCE, seed=seed)) for seed in (1, 1, 2))
    assert one.fingerprint == other.fingerprint != third.fingerprint
    assert torch.equal(one.slates.values, other.slates.values)


def test_item_vectors_are_those_of_the_world_in_the_scale_of_its_scores() -> None:
    log = prepare_slates(SOURCE)
    ids = torch.from_numpy(log.items["item_id"].to_numpy().copy())
    torch.testing.assert_close(SOURCE.item_vectors(log), 4.0 * WORLD.items[ids])


def test_the_truth_of_another_log_is_refused() -> None:
    log = tiny_log()
    other = replace(log, requests=log.requests.with_columns(request_id=log.requests["timestamp"]))
    with pytest.raises(ConfigurationError, match="hand-made: these are not the impressions that this simulator made"):
        SOURCE.click_probability(other)


def test_users_who_click_several_items_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="a log needs users who choose one item or none"):
        SimulatedSlates(PlantedGroups(40, 5, 3, choice=DependentClickModel((0.5, 0.5)))).slates()
