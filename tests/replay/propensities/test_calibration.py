from __future__ import annotations

import math

import pytest
import torch

from recsys.replay.propensities.calibration import PropensityCalibration


def test_a_table_that_one_can_check_by_hand() -> None:
    calibration = PropensityCalibration()
    probability = torch.tensor([[0.75, 0.25], [0.75, 0.25], [0.25, 0.75], [0.25, 0.75]], dtype=torch.float64)
    calibration.add_all(probability, torch.tensor([0, 0, 1, 0]))
    assert calibration.inverse == pytest.approx((4 / 3 * 3 + 4) / 4) and calibration.actions == 2
    assert calibration.table().rows() == [(0.2, 0.3, 4, 0.25, 0.25), (0.7, 0.8, 4, 0.75, 0.75)]
    assert calibration.error == 0


def test_what_was_not_offered_does_not_count() -> None:
    calibration = PropensityCalibration()
    offered = torch.tensor([[True, True, False], [True, False, False]])
    probability = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    calibration.add_all(probability, torch.tensor([0, 0]), offered)
    assert (calibration.inverse, calibration.actions) == (1.5, 1.5)
    assert calibration.table()["pairs"].to_list() == [2, 1]


def test_parts_sum_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(0)
    probability = torch.rand(100, 5, generator=generator, dtype=torch.float64).softmax(1)
    action = probability.multinomial(1, generator=generator).squeeze(1)
    whole, parts = PropensityCalibration(), PropensityCalibration()
    whole.add_all(probability, action)
    for rows in torch.arange(100).split(33):
        parts.add_all(probability[rows], action[rows])
    assert parts.inverse == pytest.approx(whole.inverse) and parts.error == pytest.approx(whole.error)
    assert parts.inverse_error == pytest.approx(whole.inverse_error)
    chosen = 1 / probability.gather(1, action.unsqueeze(1))
    assert whole.inverse_error == pytest.approx(float(chosen.std()) / 10)


def test_without_every_actions_probability_there_is_no_table() -> None:
    calibration = PropensityCalibration()
    calibration.add(torch.tensor([0.5]), torch.tensor([2]))
    assert calibration.table().is_empty() and math.isnan(calibration.error) and math.isnan(calibration.inverse_error)


def test_the_mean_of_inverses_is_the_number_of_actions_by_enumeration() -> None:
    """Expectation over every choice, for propensities that are right and for ones that are not."""
    truth = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    assert float((truth / truth).sum()) == pytest.approx(3)
    wrong = torch.tensor([0.4, 0.3, 0.3], dtype=torch.float64)
    right, off = PropensityCalibration(), PropensityCalibration()
    for action, times in enumerate((6, 3, 1)):
        chosen = torch.full((times,), action)
        right.add_all(truth.expand(times, -1), chosen)
        off.add_all(wrong.expand(times, -1), chosen)
    assert right.inverse == pytest.approx(3) and right.error == pytest.approx(0)
    assert off.inverse == pytest.approx(0.6 / 0.4 + 1 + 0.1 / 0.3) and off.error > 0.1
