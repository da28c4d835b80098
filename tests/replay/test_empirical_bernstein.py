import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.empirical_bernstein import empirical_bernstein
from recsys.replay.mean import Mean


def means(numbers: torch.Tensor) -> list[Mean]:
    return [Mean(len(row), float(row.sum()), float(row.square().sum())) for row in numbers]


def rare(logs: int, rounds: int) -> torch.Tensor:
    """A weight of 20 with a chance of 1 in 50: the mean is 0.4."""
    return (torch.rand(logs, rounds) < 0.02).double() * 20


def test_covers_where_the_closed_form_does_not() -> None:
    covered, normal = 0, 0
    for mean in means(rare(1000, 60)):
        found = empirical_bernstein(mean, 0, 20)
        covered += found.low <= 0.4 <= found.high
        normal += abs(mean.value - 0.4) <= 2 * (mean.variance / mean.units) ** 0.5
    assert covered >= 950
    assert normal < 800


def test_low_end_is_above_the_mean_as_rarely_as_promised() -> None:
    """One end alone fails half as often as both: at a confidence of .6 in a fifth of the logs at most."""
    found = [empirical_bernstein(mean, 0, 1, confidence=0.6) for mean in means(torch.rand(1000, 40))]
    assert sum(one.low <= 0.5 for one in found) >= 800


def test_narrows_with_rounds_and_with_the_variance() -> None:
    widths = []
    for rounds, spread in ((100, 1.0), (10_000, 1.0), (10_000, 0.1)):
        [mean] = means(0.5 + spread * (torch.rand(1, rounds).double() - 0.5))
        found = empirical_bernstein(mean, 0, 1)
        widths.append(found.high - found.low)
    assert widths[0] > 8 * widths[1]
    assert widths[1] > 3 * widths[2]


def test_less_confidence_is_closer_and_both_ends_are_cut_to_the_bounds() -> None:
    [mean] = means(torch.rand(1, 1000).double())
    assert empirical_bernstein(mean, 0, 1).low < empirical_bernstein(mean, 0, 1, confidence=0.9).low < mean.value
    few = empirical_bernstein(Mean(3, 1.5, 1.0), 0, 1)
    assert (few.low, few.high) == (0, 1)
    assert empirical_bernstein(Mean(1, 0.5, 0.25), 0, 1).low is None


@pytest.mark.parametrize("mean", [Mean(10, 11.0, 12.0), Mean(10, -1.0, 1.0), Mean(10, 5.0, 40.0)])
def test_numbers_out_of_bounds_are_refused(mean: Mean) -> None:
    with pytest.raises(RequestError, match="is not of numbers from 0 to 1"):
        empirical_bernstein(mean, 0, 1)
