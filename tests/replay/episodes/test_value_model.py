from dataclasses import replace

import pytest
import torch

from recsys.errors import RequestError
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.episodes.doubly_robust import SequentialDM, SequentialDR
from recsys.replay.episodes.fitted_models import cross_fit, predict
from recsys.replay.episodes.fitted_q import LinearFittedQ, LinearQ
from tests.replay.episodes.worlds import HORIZON, listed, numbers, truth


def drawn(episodes: int, cut: float = 0.0) -> EpisodeBatch:
    world = listed(cut=cut)
    return world.episodes.select(torch.multinomial(world.probability, episodes, replacement=True))


def test_predictions_are_of_the_log_s_actions_and_of_the_policy() -> None:
    ones = torch.ones(1, 2).double()
    episodes = EpisodeBatch(
        ones,
        ones,
        ones,
        torch.tensor([[True, False]]),
        action=torch.tensor([[1, 99]]),
        context=numbers([[2.0], [float("nan")]]),
        target_all=numbers([[0.25, 0.75], [float("nan"), 0.0]]),
    )
    found = predict(LinearQ(numbers([1.0], [3.0])), episodes)
    assert found.need("predicted").tolist() == [[6, 0]]
    assert found.need("expected").tolist() == [[0.25 * 2 + 0.75 * 6, 0]]


def test_no_episode_is_predicted_by_a_model_that_saw_it() -> None:
    episodes = drawn(30)
    seen: list[set[float]] = []

    def fit(part: EpisodeBatch) -> LinearQ:
        seen.append(set(part.reward[:, 0].tolist()))
        return LinearQ(torch.full((2, 2 * HORIZON), float(len(seen))).double())

    named = replace(episodes, reward=torch.arange(30.0).double().unsqueeze(1).expand(-1, HORIZON))
    found = cross_fit(fit, named, folds=4)
    assert [len(part) for part in seen] in ([22, 22, 23, 23], [23, 23, 22, 22])
    for row in range(30):
        assert float(row) not in seen[int(found.need("predicted")[row, 0]) - 1]
    assert found.need("predicted")[~episodes.mask].eq(0).all()


def test_equal_seeds_deal_alike() -> None:
    episodes = drawn(40)
    again = [cross_fit(LinearFittedQ(ridge=0.1), episodes, seed=seed).need("predicted") for seed in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


@pytest.mark.parametrize("cut", [0.0, 0.5])
def test_fitted_and_corrected_close_in_on_the_value(cut: float) -> None:
    episodes = cross_fit(LinearFittedQ(), drawn(40_000, cut))
    for estimator in (SequentialDM(), SequentialDR()):
        found = float(estimator.value(estimator.terms(episodes).sum(0)))
        assert found == pytest.approx(truth(1.0), abs=0.03)


def test_doubly_robust_by_cross_fitting_is_unbiased_over_all_logs_of_two_episodes() -> None:
    world, estimator = listed(2), SequentialDR(0.7)

    def estimates(learned: EpisodeBatch, judged: EpisodeBatch) -> torch.Tensor:
        return estimator.terms(predict(LinearFittedQ(0.7)(learned), judged))[:, 2]

    rows = torch.arange(len(world.episodes)).unsqueeze(1)
    by_other = torch.stack([estimates(world.episodes.select(row), world.episodes) for row in rows])
    pair = cross_fit(LinearFittedQ(0.7), world.episodes.select(torch.tensor([7, 40])), folds=2)
    expected = float(by_other[40, 7] + by_other[7, 40]) / 2
    assert float(estimator.value(estimator.terms(pair).sum(0))) == pytest.approx(expected, abs=1e-12)
    assert float(world.probability @ by_other @ world.probability) == pytest.approx(truth(0.7, 2), abs=1e-12)
    by_itself = by_other.diagonal()
    assert abs(float(world.probability @ by_itself) - truth(0.7, 2)) > 0.01


@pytest.mark.parametrize("folds", [1, 5])
def test_folds_are_refused_where_they_cannot_be(folds: int) -> None:
    with pytest.raises(RequestError, match=f"{folds} folds of 4 episodes"):
        cross_fit(LinearFittedQ(), drawn(4), folds=folds)
