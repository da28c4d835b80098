import numpy as np
import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.episodes.doubly_robust import SequentialDM, WeightedDoublyRobust
from recsys.replay.episodes.magic import MAGIC, BlendedReturns, least_on_simplex, returns
from recsys.replay.intervals.fixed_sample import closed_form
from recsys.replay.sums import Sums
from tests.replay.episodes.worlds import HORIZON, Listed, at_expectation, listed, modelled, truth, worth, wrong


def drawn(world: Listed, episodes: int) -> Sums:
    rows = torch.multinomial(world.probability, episodes, replacement=True)
    return Sums.of(MAGIC(HORIZON).terms(world.episodes)[rows])


def test_returns_by_hand() -> None:
    expected, surprise = torch.tensor([4.0, 2.0]).double(), torch.tensor([1.0, 0.5]).double()
    totals = torch.cat([torch.ones(3).double(), expected, surprise])
    assert returns(totals, 2, 0.5).tolist() == [4, 4 + 1 + 1, 4 + 1 + 1 + 0.25]


@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_first_return_is_the_model_and_last_is_weighted_doubly_robust(discount: float) -> None:
    world = modelled(listed(), wrong())
    ends = (BlendedReturns((1.0, 0.0, 0.0, 0.0), discount), BlendedReturns((0.0, 0.0, 0.0, 1.0), discount))
    for end, same in zip(ends, (SequentialDM(discount), WeightedDoublyRobust(HORIZON, discount)), strict=True):
        assert at_expectation(end, world) == pytest.approx(at_expectation(same, world), abs=1e-12)


@pytest.mark.parametrize("discount", [1.0, 0.7])
def test_every_return_is_right_where_the_model_is(discount: float) -> None:
    world = modelled(listed(), worth(discount)[0])
    found = returns(world.probability @ MAGIC(HORIZON).terms(world.episodes), HORIZON, discount)
    torch.testing.assert_close(found, torch.full((4,), truth(discount)).double())


def test_a_wrong_model_is_left_as_the_log_grows_and_a_right_one_is_kept() -> None:
    world = modelled(listed(), wrong())
    terms = MAGIC(HORIZON).terms(world.episodes)
    products = terms.T @ (world.probability.unsqueeze(1) * terms)
    totals = world.probability @ terms
    error = []
    for size in (100, 10_000, 1_000_000):
        sums = Sums(size, totals * size, products * size)
        blend = MAGIC(HORIZON).choose(sums)
        error.append(abs(float(blend.value(sums.totals)) - truth(1.0)))
    assert error[0] > error[1] > error[2]
    assert error[2] < 0.005
    right = MAGIC(HORIZON).choose(drawn(modelled(listed(), worth(1.0)[0]), 400))
    assert right.shares[0] > 0.5


def test_errs_less_than_the_log_alone_where_the_model_is_nearly_right() -> None:
    nearly = modelled(listed(), worth(1.0)[0] * 1.1)
    blend, weighted = 0.0, 0.0
    for _ in range(60):
        sums = drawn(nearly, 60)
        blend += (float(MAGIC(HORIZON).choose(sums).value(sums.totals)) - truth(1.0)) ** 2
        weighted += (float(WeightedDoublyRobust(HORIZON).value(sums.totals)) - truth(1.0)) ** 2
    assert blend < 0.9 * weighted


def test_sums_merge_and_the_blend_has_an_interval() -> None:
    world = modelled(listed(), wrong())
    first, second = drawn(world, 300), drawn(world, 200)
    sums = first + second
    blend = MAGIC(HORIZON).choose(sums)
    assert sum(blend.shares) == pytest.approx(1)
    assert min(blend.shares) >= 0
    assert blend.terms == MAGIC(HORIZON).terms == WeightedDoublyRobust(HORIZON).terms
    interval = closed_form(blend, sums)
    assert interval.low < interval.value < interval.high
    torch.testing.assert_close(blend.value(sums.totals * 3), blend.value(sums.totals))


def test_one_episode_gives_the_last_return_and_no_weight_is_refused() -> None:
    world = modelled(listed(), wrong())
    assert MAGIC(HORIZON).choose(drawn(world, 1)).shares == (0, 0, 0, 1)
    terms = MAGIC(HORIZON).terms(world.episodes)
    terms[:, 2:4] = 0
    with pytest.raises(RequestError, match="at step 1"):
        MAGIC(HORIZON).choose(Sums.of(terms))


def test_least_on_simplex_against_a_fine_grid() -> None:
    generator = np.random.default_rng(0)
    grid = np.array([(a, b, 200 - a - b) for a in range(201) for b in range(201 - a)]) / 200
    for _ in range(20):
        root = generator.normal(size=(3, 3))
        matrix = root @ root.T
        found = least_on_simplex(matrix)
        best = np.einsum("ij,jk,ik->i", grid, matrix, grid).min()
        assert found @ matrix @ found <= best + 1e-6
        assert found @ matrix @ found >= best - 0.01 * np.trace(matrix)
    assert least_on_simplex(np.zeros((2, 2))).tolist() == [0.5, 0.5]
    assert least_on_simplex(np.diag([0.0, 1.0])).round(6).tolist() == [1, 0]
