from dataclasses import replace

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.closed_form import closed_form
from recsys.replay.episodes.marginalised import MarginalisedIPS
from recsys.replay.episodes.per_decision import PerDecisionIPS
from recsys.replay.sums import Sums
from tests.replay.episodes.worlds import FIRST, HORIZON, NEXT, TARGET, Listed, at_expectation, listed, truth, worth

discounts = pytest.mark.parametrize("discount", [1.0, 0.7])
cells = pytest.mark.parametrize("actions", [None, 2])


def hidden(world: Listed) -> Listed:
    """The same world for someone who cannot tell its states apart."""
    return replace(world, episodes=replace(world.episodes, state=torch.zeros_like(world.episodes.need("state"))))


@discounts
@cells
def test_consistent_where_the_state_is_all_that_matters(actions: int | None, discount: float) -> None:
    estimator = MarginalisedIPS(2, actions, HORIZON, discount)
    assert at_expectation(estimator, listed()) == pytest.approx(truth(discount), abs=1e-12)


@discounts
@cells
def test_biased_where_the_state_is_hidden_and_histories_are_not(actions: int | None, discount: float) -> None:
    world = hidden(listed())
    assert abs(at_expectation(MarginalisedIPS(1, actions, HORIZON, discount), world) - truth(discount)) > 0.002
    assert at_expectation(PerDecisionIPS(discount), world) == pytest.approx(truth(discount), abs=1e-12)


@cells
def test_varies_less_than_histories(actions: int | None) -> None:
    world = listed()
    drawn = torch.multinomial(world.probability, 400 * 200, replacement=True)
    terms = [
        estimator.terms(world.episodes)[drawn].view(200, 400, -1).sum(1)
        for estimator in (MarginalisedIPS(2, actions, HORIZON), PerDecisionIPS())
    ]
    values = [MarginalisedIPS(2, actions, HORIZON).value(terms[0]), PerDecisionIPS().value(terms[1])]
    assert values[0].std() < 0.95 * values[1].std()
    assert float(values[0].mean()) == pytest.approx(truth(1.0), abs=0.03)


@cells
def test_without_a_horizon_the_state_at_a_step_does_not_matter_and_the_value_is_that_without_end(
    actions: int | None,
) -> None:
    q = torch.zeros(2, 2).double()
    for _ in range(2_000):
        q = worth(1.0, 1)[0][0] + NEXT @ (TARGET * q).sum(-1)
    world = listed()
    at_horizon = world.episodes.there[:, -1]
    goes_on = replace(world.episodes, done=world.episodes.done & ~at_horizon)
    assert at_expectation(MarginalisedIPS(2, actions), replace(world, episodes=goes_on)) == pytest.approx(
        float(FIRST @ (TARGET * q).sum(-1)), abs=1e-9
    )


@discounts
@cells
def test_cut_off_episodes_tell_of_the_steps_that_they_have(actions: int | None, discount: float) -> None:
    cut = listed(cut=0.5)
    estimator = MarginalisedIPS(2, actions, HORIZON, discount)
    assert at_expectation(estimator, cut) == pytest.approx(truth(discount), abs=1e-12)
    ended = replace(cut, episodes=replace(cut.episodes, done=None))
    assert at_expectation(estimator, ended) < truth(discount) - 0.05


@cells
def test_a_log_is_read_without_being_changed_and_its_sums_merge(actions: int | None) -> None:
    episodes = replace(listed().episodes, done=None)
    there = episodes.there.clone()
    for horizon in (None, HORIZON):
        estimator = MarginalisedIPS(2, actions, horizon, 0.9)
        terms = estimator.terms(episodes)
        merged = Sums.of(terms[:100]) + Sums.of(terms[100:])
        found, expected = closed_form(estimator, merged), closed_form(estimator, Sums.of(terms))
        assert found.value == pytest.approx(expected.value)
        assert found.low == pytest.approx(expected.low)
        assert expected.low < expected.value < expected.high
    assert torch.equal(episodes.there, there)


def test_interval_covers() -> None:
    world, estimator = listed(), MarginalisedIPS(2, None, HORIZON)
    terms = estimator.terms(world.episodes)
    covered = 0
    for drawn in torch.multinomial(world.probability, 200 * 300, replacement=True).view(200, 300):
        interval = closed_form(estimator, Sums.of(terms[drawn]))
        covered += interval.low <= truth(1.0) <= interval.high
    assert 0.91 <= covered / 200 <= 0.99


def test_states_that_are_not_there_are_refused() -> None:
    with pytest.raises(RequestError, match=r"episode \d+ has state 1 at step \d, expected 0 to 0"):
        MarginalisedIPS(1).terms(listed().episodes)


def test_a_value_without_bound_is_refused() -> None:
    world = listed()
    loop = world.episodes.select(world.episodes.there[:, -1] & (world.episodes.need("state") == 0).all(1))
    alike = replace(loop, logging=loop.target, done=torch.zeros(len(loop)).bool())
    estimator = MarginalisedIPS(1)
    with pytest.raises(RequestError, match="the value has no bound"):
        estimator.value(estimator.terms(alike).sum(0))


@cells
def test_an_episode_that_is_cut_off_at_the_horizon_is_whole(actions: int | None) -> None:
    world = listed()
    goes_on = world.episodes.need("done") & ~world.episodes.there[:, -1]
    assert 0 < int(goes_on.sum()) < len(goes_on)
    estimator = MarginalisedIPS(2, actions, HORIZON)
    assert at_expectation(estimator, replace(world, episodes=replace(world.episodes, done=goes_on))) == pytest.approx(
        truth(1.0), abs=1e-12
    )
