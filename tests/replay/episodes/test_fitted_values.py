from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from recsys.data.logs.batches import LoggedActions
from recsys.data.logs.episodes import EpisodeLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.errors import ConfigurationError, RequestError
from recsys.replay.episodes.batch import EpisodeBatch
from recsys.replay.episodes.doubly_robust import SequentialDM, SequentialDR
from recsys.replay.episodes.fitted_models import EpisodeReader, FittedValues, cross_fit
from recsys.replay.episodes.fitted_q import LinearFittedQ
from recsys.replay.episodes.importance import PerDecisionIPS
from recsys.replay.evaluation import evaluate
from recsys.replay.options import ReplayOptions
from recsys.replay.targets.actions import UniformActions
from tests.replay.episodes.worlds import HORIZON, TARGET, listed, truth
from tests.replay.feedback_files import trajectories, written


def estimates(*arguments: Any) -> pl.DataFrame:
    return evaluate(*arguments).estimates


MODEL = FittedValues(LinearFittedQ())


class OfState:
    """The world's target policy, which knows the state by the features that mark it."""

    name = "state"
    fingerprint = "state"

    def target_all(self, batch: LoggedActions) -> Tensor:
        assert batch.context is not None
        return TARGET[batch.context.argmax(1) // HORIZON]

    def target(self, batch: LoggedActions) -> Tensor:
        return self.target_all(batch).gather(1, batch.action.unsqueeze(1)).squeeze(1)


def drawn(episodes: int) -> EpisodeBatch:
    world = listed()
    generator = torch.Generator().manual_seed(0)
    return world.episodes.select(torch.multinomial(world.probability, episodes, replacement=True, generator=generator))


def log_of(episodes: EpisodeBatch, path: Path) -> EpisodeLog:
    """The same as a table."""
    there = episodes.mask
    number, step = there.nonzero().unbind(1)
    parts = {name: episodes.need(name)[there] for name in ("action", "reward", "logging", "context")}
    table = pl.DataFrame(
        {
            "episode_id": number.numpy(),
            "step": step.numpy(),
            "action": parts["action"].numpy(),
            "reward": parts["reward"].numpy(),
            "propensity": parts["logging"].numpy(),
            "context": parts["context"].tolist(),
        }
    )
    found = ParquetFeedback(written(table, path)).log()
    assert isinstance(found, EpisodeLog)
    return found


@pytest.mark.parametrize("size", [7, 1024])
def test_what_is_expected_is_what_cross_fitting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    episodes = drawn(100)
    log = log_of(episodes, tmp_path / "log.parquet")
    batches = log.batches
    monkeypatch.setattr(EpisodeLog, "batches", lambda self: batches(size))
    beside = EpisodeReader(log, MODEL, seed=3).join(OfState())
    found = [beside(batch) for batch in EpisodeReader(log).batches()]
    with_one = replace(episodes, context=pad(episodes.need("context"), (0, 1), value=1.0))
    whole = cross_fit(LinearFittedQ(), with_one, seed=3)
    for name in ("predicted", "expected", "target"):
        numbers = torch.cat([one.need(name)[one.mask] for one in found])
        torch.testing.assert_close(numbers, whole.need(name)[whole.mask], rtol=1e-9, atol=1e-9)


def test_a_model_makes_the_estimate_surer_and_leaves_it_right(tmp_path: Path) -> None:
    log = log_of(drawn(3000), tmp_path / "log.parquet")
    estimators = {"dr": SequentialDR(), "dm": SequentialDM(), "ips": PerDecisionIPS()}
    table = estimates(log, {"state": lambda log: OfState()}, estimators, ReplayOptions(model=MODEL))
    rows = {row["estimator"]: row for row in table.iter_rows(named=True)}
    width = {name: row["high"] - row["low"] for name, row in rows.items()}
    assert rows["dr"]["low"] < truth(1.0) < rows["dr"]["high"]
    assert width["dr"] < 0.8 * width["ips"]
    assert rows["dm"]["value"] == pytest.approx(truth(1.0), abs=0.1)
    assert not any(row["warning"] for row in rows.values())


def test_nothing_is_learnt_from_the_other_half(tmp_path: Path) -> None:
    """Where the other half earns a hundred times as much, its own half is expected to earn what it does."""
    episodes = drawn(400)
    [of_half] = EpisodeReader(log_of(episodes, tmp_path / "log.parquet"), half=1).batches()
    much = episodes.reward.clone()
    much[of_half.episode] *= 100
    other = log_of(replace(episodes, reward=much), tmp_path / "other.parquet")
    read = EpisodeReader(other, MODEL, half=0)
    [batch] = read.batches()
    assert read.join(OfState())(batch).need("expected").abs().max() < 10


def test_a_log_without_contexts_has_one_state(tmp_path: Path) -> None:
    log = ParquetFeedback(written(trajectories(), tmp_path / "log.parquet")).log()
    assert isinstance(log, EpisodeLog)
    [batch] = log.batches()
    found = EpisodeReader(log, MODEL).join(UniformActions(2))(batch)
    expected = found.need("expected")[found.mask]
    assert expected.std() < 0.1 and float(expected.mean()) == pytest.approx(1.0, abs=0.15)  # .5 now, .5 to come


def test_what_cannot_be_modelled_is_refused(tmp_path: Path) -> None:
    log = ParquetFeedback(written(trajectories(), tmp_path / "log.parquet")).log()
    assert isinstance(log, EpisodeLog)
    with pytest.raises(RequestError, match="function is no policy of single actions, which a model of values needs"):
        EpisodeReader(log, MODEL).join(lambda batch: batch)
    with pytest.raises(ConfigurationError, match="folds=1: expected at least 2"):
        FittedValues(LinearFittedQ(), folds=1)
    with pytest.raises(RequestError, match="this estimator needs a value model's prediction"):
        estimates(log, {"uniform": lambda log: UniformActions(2)}, {"dr": SequentialDR()})
