from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys.data.logs.batches import LoggedActions
from recsys.data.logs.episodes import EpisodeLog
from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.replay.episodes.fitted_models import EpisodeJoin, EpisodeReader
from recsys.replay.targets.actions import UniformActions
from tests.replay.feedback_files import trajectories, written


class Rows(UniformActions):
    """As probability of an action the row of the log that it stands in, in thousandths."""

    def target(self, batch: LoggedActions) -> torch.Tensor:
        return batch.request.double() / 1000


@pytest.fixture
def log(tmp_path: Path) -> EpisodeLog:
    found = ParquetFeedback(written(trajectories(20), tmp_path / "log.parquet")).log()
    assert isinstance(found, EpisodeLog)
    return found


@pytest.mark.parametrize("size", [1, 3, 20])
def test_a_step_is_asked_about_as_the_row_that_it_is(log: EpisodeLog, size: int) -> None:
    found = []
    for batch in log.batches(size):
        episodes = EpisodeJoin(log, Rows(2))(batch)
        assert torch.equal(episodes.reward, batch.reward) and torch.equal(episodes.logging, batch.propensity)
        found.append(episodes.target[episodes.mask])
    assert torch.allclose(torch.cat(found), torch.arange(log.steps).double() / 1000, atol=1e-12)


def test_a_policy_that_puts_batches_beside_itself_is_taken_as_it_is(log: EpisodeLog) -> None:
    def beside(batch: object) -> object:
        return batch

    assert EpisodeReader(log).join(beside) is beside
    assert isinstance(EpisodeReader(log).join(UniformActions(2)), EpisodeJoin)


def test_halves_are_of_whole_episodes(log: EpisodeLog) -> None:
    halves = [torch.cat([batch.episode for batch in EpisodeReader(log, half=half).batches()]) for half in (0, 1)]
    assert torch.cat(halves).sort().values.tolist() == list(range(20)) and min(map(len, halves)) > 0
