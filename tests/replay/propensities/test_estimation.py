from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.episodes import EpisodeLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.errors import ConfigurationError
from recsys.replay.propensities.calibration import (
    PropensityCalibration,
    TemperatureCalibrator,
    Uncalibrated,
)
from recsys.replay.propensities.estimation import estimate_propensities
from recsys.replay.propensities.models import (
    FrequencyPropensity,
    LogisticPropensity,
)

ROUNDS, ACTIONS = 6000, 4
COEFFICIENTS = torch.tensor([[1.0, -1.0, 0.5, 0.0], [0.0, 1.0, -0.5, -1.0]], dtype=torch.float64)


def planted(folder: Path, rounds: int = ROUNDS, **columns: object) -> tuple[ActionLog, Tensor]:
    """A log without propensities, and the probabilities that it was drawn from."""
    generator = torch.Generator().manual_seed(1)
    context = torch.randn(rounds, 2, generator=generator, dtype=torch.float64)
    truth = (context @ COEFFICIENTS).softmax(1)
    action = truth.multinomial(1, generator=generator).squeeze(1)
    frame = pl.DataFrame({"action": action.numpy(), "reward": action.double().numpy(), "context": context.tolist()})
    frame.with_columns(**columns).write_parquet(folder / "planted.parquet")
    log = ParquetFeedback(folder / "planted.parquet").log()
    assert isinstance(log, ActionLog)
    return log, truth


def all_of(log: ActionLog, propensities: object) -> Tensor:
    assert callable(propensities)
    return torch.cat([propensities(batch) for batch in log.batches(1000)])


def test_planted_propensities_are_found(tmp_path: Path) -> None:
    log, truth = planted(tmp_path)
    found = estimate_propensities(log, LogisticPropensity())
    guessed = all_of(log, found.propensities)
    assert torch.allclose(guessed.sum(1), torch.ones(ROUNDS, dtype=torch.float64))
    assert float((guessed - truth).abs().mean()) < 0.02
    assert float((truth - torch.bincount(torch.cat([b.action for b in log.batches()])) / ROUNDS).abs().mean()) > 0.15
    assert found.log.estimated and not log.estimated and found.log.fingerprint != log.fingerprint
    chosen = torch.cat([batch.propensity for batch in found.log.batches(700) if batch.propensity is not None])
    action = torch.cat([batch.action for batch in log.batches()])
    assert torch.equal(chosen, guessed.gather(1, action.unsqueeze(1)).squeeze(1))


def test_a_value_that_shares_alone_get_wrong_is_right_with_the_context(tmp_path: Path) -> None:
    """Uniform choice on a log whose actions depend on the context, as the rewards do."""
    log, truth = planted(tmp_path)
    action = torch.cat([batch.action for batch in log.batches()])
    context = torch.cat([batch.context for batch in log.batches() if batch.context is not None])
    reward = (action == 0) * context[:, 0].exp()
    value = float(context[:, 0].exp().mean()) / ACTIONS

    def weighed(propensity: Tensor) -> float:
        return float((reward / ACTIONS / propensity.gather(1, action.unsqueeze(1)).squeeze(1)).mean())

    modelled = weighed(all_of(log, estimate_propensities(log).propensities))
    shares = weighed(all_of(log, estimate_propensities(log, FrequencyPropensity()).propensities))
    assert abs(weighed(truth) - value) < 0.05 and abs(modelled - value) < 0.05
    assert shares - value > 0.15


def test_calibration_tells_a_good_model_from_a_bad_one(tmp_path: Path) -> None:
    log, truth = planted(tmp_path)
    good = estimate_propensities(log).calibration
    assert good.rounds == ROUNDS and good.actions == ACTIONS
    assert abs(good.inverse - ACTIONS) < 3 * good.inverse_error
    assert good.error < 0.015
    action = torch.cat([batch.action for batch in log.batches()])
    sharp = PropensityCalibration()
    sharp.add_all((3 * truth.log()).softmax(1), action)
    assert sharp.inverse - ACTIONS > 3 * sharp.inverse_error and sharp.error > 0.05
    assert good.table()["pairs"].sum() == ROUNDS * ACTIONS
    gaps = good.table().filter(pl.col("pairs") > 500).select((pl.col("predicted") - pl.col("chosen")).abs().max())
    assert gaps.item() < 0.05


def test_a_temperature_mends_a_model_that_is_too_sure(tmp_path: Path) -> None:
    log, truth = planted(tmp_path)

    class TooSure:
        def fit(self, context: Tensor, action: Tensor, num_actions: int):
            return lambda context: (3 * (context @ COEFFICIENTS)).softmax(1)

    raw = all_of(log, estimate_propensities(log, TooSure(), Uncalibrated()).propensities)
    mended = all_of(log, estimate_propensities(log, TooSure(), TemperatureCalibrator()).propensities)
    assert float((raw - truth).abs().mean()) > 0.1
    assert float((mended - truth).abs().mean()) < 0.01


def test_no_model_sees_the_rounds_of_the_users_it_is_used_for(tmp_path: Path) -> None:
    users = [number // 3 for number in range(600)]
    log, _ = planted(tmp_path, 600, user_id=pl.Series(users), context=pl.Series([[float(user)] for user in users]))
    used: list[tuple[set[float], set[float]]] = []

    class Spy:
        def fit(self, context: Tensor, action: Tensor, num_actions: int):
            mine = (set(context.flatten().tolist()), set())
            used.append(mine)

            def predict(context: Tensor) -> Tensor:
                mine[1].update(context.flatten().tolist())
                return torch.full((len(context), num_actions), 1 / num_actions, dtype=torch.float64)

            return predict

    estimate_propensities(log, Spy(), Uncalibrated(), folds=4)
    assert len(used) == 4
    for fitted, asked in used:
        assert len(fitted) == 100 and not fitted & asked  # half of 200 users; a quarter calibrates, a quarter is left
        assert len(asked) == 100


def test_without_a_context_each_round_gets_the_share_of_its_action_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame({"action": ["a"] * 300 + ["b"] * 100, "reward": [1.0] * 400}).write_parquet(path)
    log = ParquetFeedback(path).log()
    assert isinstance(log, ActionLog)
    found = estimate_propensities(log)
    guessed = all_of(log, found.propensities)
    fold, chosen_a = found.propensities.fold, torch.arange(400) < 300
    for number in range(5):
        learnt = (fold != number) & (fold != (number + 1) % 5)
        share = (int(chosen_a[learnt].sum()) + 0.5) / (int(learnt.sum()) + 1)  # one round that chose uniformly is added
        assert torch.allclose(guessed[fold == number, 0], torch.tensor(share, dtype=torch.float64))
    assert abs(found.calibration.inverse - 2) < 3 * found.calibration.inverse_error + 0.05


def test_actions_that_no_model_saw_have_a_small_chance_and_what_was_not_offered_none(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    actions = ["a"] * 50 + ["b"] * 49 + ["rare"]
    offered = [["a", "rare"]] * 50 + [["b", "rare", "never"]] * 50
    pl.DataFrame({"action": actions, "reward": [1.0] * 100, "candidates": offered}).write_parquet(path)
    log = ParquetFeedback(path).log()
    assert isinstance(log, ActionLog)
    found = estimate_propensities(log, folds=3)
    guessed = all_of(log, found.propensities)
    mask = torch.cat([batch.candidates for batch in log.batches() if batch.candidates is not None])
    assert bool((guessed[mask] > 0).all()) and bool((guessed[~mask] == 0).all())
    assert torch.allclose(guessed.sum(1), torch.ones(100, dtype=torch.float64))
    assert float(guessed[99, 3]) < 0.02
    assert found.calibration.actions == 2.5


def test_a_sample_is_enough_to_learn_from(tmp_path: Path) -> None:
    log, truth = planted(tmp_path)
    found = estimate_propensities(log, most=2000)
    assert sum(found.propensities.seen) == 3 * 2000
    assert float((all_of(log, found.propensities) - truth).abs().mean()) < 0.04
    again = estimate_propensities(log, most=2000)
    assert torch.equal(all_of(log, again.propensities), all_of(log, found.propensities))


def test_episodes_are_estimated_step_by_step(tmp_path: Path) -> None:
    flat, truth = planted(tmp_path)
    steps = pl.int_range(pl.len())
    path = tmp_path / "trajectories.parquet"
    flat.frame.with_columns(episode_id=steps // 5, step=steps % 5).collect().write_parquet(path)
    log = ParquetFeedback(path).log()
    assert isinstance(log, EpisodeLog)
    found = estimate_propensities(log)
    assert isinstance(found.log, EpisodeLog) and found.log.estimated and len(found.log) == ROUNDS // 5
    batches = list(found.log.batches(100))
    chosen = truth.gather(1, torch.cat([batch.action for batch in batches]).view(-1, 1)).squeeze(1)
    guessed = torch.cat([batch.propensity for batch in batches]).flatten()
    assert float((guessed - chosen).abs().mean()) < 0.02


@pytest.mark.parametrize("folds", [2, 7])
def test_folds_are_as_many_as_can_be(tmp_path: Path, folds: int) -> None:
    log, _ = planted(tmp_path, 6)
    with pytest.raises(ConfigurationError, match=rf"folds = {folds}, expected 3 to 6, the number of users of planted"):
        estimate_propensities(log, folds=folds)
