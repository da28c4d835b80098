from __future__ import annotations

import pytest
import torch

from recsys.metrics.calibration import interval_coverage, reliability


def test_probabilities_that_hold_are_found_to_hold(generator: torch.Generator) -> None:
    said = torch.rand(20_000, generator=generator) ** 2
    happened = torch.rand(20_000, generator=generator) < said
    found = reliability(said, happened)
    assert found.error < 0.01
    assert ((found.low <= found.predicted) & (found.predicted <= found.high)).sum() >= 8
    assert reliability(said, ~happened).error > 0.3


def test_bins_hold_equally_many_from_low_to_high() -> None:
    found = reliability(torch.tensor([0.9, 0.1, 0.5, 0.3, 0.7, 0.2]), torch.tensor([1, 0, 1, 0, 1, 0]).bool(), bins=3)
    torch.testing.assert_close(found.predicted, torch.tensor([0.15, 0.4, 0.8]))
    torch.testing.assert_close(found.observed, torch.tensor([0.0, 0.5, 1.0]))
    assert len(reliability(torch.tensor([0.5, 0.6]), torch.tensor([True, False])).predicted) == 2


def test_the_interval_of_a_share_by_hand() -> None:
    """Wilson's for 3 of 10 and 0 of 10, from the formula in his paper."""
    found = reliability(torch.full((10,), 0.3), torch.arange(10) < 3, bins=1)
    assert (found.low.item(), found.high.item()) == (pytest.approx(0.1078, abs=1e-4), pytest.approx(0.6032, abs=1e-4))
    none = reliability(torch.full((10,), 0.3), torch.zeros(10, dtype=torch.bool), bins=1)
    assert (none.low.item(), none.high.item()) == (pytest.approx(0, abs=1e-6), pytest.approx(0.2775, abs=1e-4))


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals_of_the_right_width_cover_as_often_as_they_say(confidence: float) -> None:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(5_000, generator=generator)
    draws = mean + torch.randn(400, 5_000, generator=generator)
    truth = mean + torch.randn(5_000, generator=generator)
    share = interval_coverage(draws, truth, confidence).float().mean().item()
    assert share == pytest.approx(confidence, abs=0.025)
    narrow = interval_coverage(mean + 0.3 * (draws - mean), truth, confidence).float().mean().item()
    assert narrow < confidence - 0.2
