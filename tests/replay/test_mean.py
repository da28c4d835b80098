import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.doubly_robust import DR
from recsys.replay.importance import IPS
from recsys.replay.mean import Mean
from recsys.replay.rounds import Rounds
from recsys.replay.sums import Sums, by_unit


def rounds(count: int) -> Rounds:
    generator = torch.Generator().manual_seed(1)
    spread = torch.rand(count, 3, generator=generator).double().softmax(-1)
    action = torch.randint(3, (count,), generator=generator)
    return Rounds(
        action,
        torch.rand(count, generator=generator).double(),
        torch.full((count,), 1 / 3).double(),
        spread.gather(1, action.unsqueeze(1)).squeeze(1),
        target_all=spread,
        predicted_all=torch.rand(count, 3, generator=generator).double(),
    )


def test_combinations_of_sums_are_sums_of_combinations() -> None:
    log = rounds(50)
    weighed = Sums.of(IPS().terms(log))
    for coefficients, numbers in (((0, 0, 1), log.weight * log.reward), ((0, 2, -1), log.weight * (2 - log.reward))):
        mean = Mean.of(weighed, coefficients)
        assert mean.value == pytest.approx(float(numbers.mean()))
        assert mean.variance == pytest.approx(float(numbers.var()))
    modelled = Sums.of(DR().terms(log))
    assert Mean.of(modelled, (0, 1, 0, 1)).value == pytest.approx(float(DR().value(modelled.totals)))


def test_units_of_several_rounds_and_empty_logs_are_refused() -> None:
    terms = IPS().terms(rounds(4))
    with pytest.raises(RequestError, match="4 rounds of 3 users"):
        Mean.of(Sums.of(by_unit(terms, torch.tensor([0, 1, 2, 2]))), (0, 0, 1))
    with pytest.raises(RequestError, match="has none"):
        Mean.of(Sums.of(terms[:0]), (0, 0, 1))


def test_one_number_has_no_variance() -> None:
    assert Mean(1, 3.0, 9.0).variance == 0
