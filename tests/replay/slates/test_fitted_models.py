from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys.data.logs.feedback_source import ParquetFeedback
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.errors import ConfigurationError, RequestError
from recsys.replay.evaluation import evaluate
from recsys.replay.options import ReplayOptions
from recsys.replay.slates import fitted_models as fitted_tails
from recsys.replay.slates.batch import SlateBatch
from recsys.replay.slates.cascade import CascadeDR, RewardToGoMeans, with_model
from recsys.replay.slates.fitted_models import RewardToGoModel, SlateReader
from recsys.replay.slates.importance import SlateIPS
from recsys.replay.slates.weights import PrefixWeights
from recsys.replay.targets.policies import UniformTarget
from tests.replay.feedback_files import slate_table, written


def estimates(*arguments: Any) -> pl.DataFrame:
    return evaluate(*arguments).estimates


@pytest.fixture
def log(tmp_path: Path) -> SlateFeedbackLog:
    found = ParquetFeedback(written(slate_table(), tmp_path / "log.parquet")).log()
    assert isinstance(found, SlateFeedbackLog)
    return found


def test_predictions_are_of_tail_means_that_have_not_seen_the_user(log: SlateFeedbackLog) -> None:
    [batch] = log.batches()
    read = SlateReader(log, RewardToGoModel(folds=3))
    rounds = read.join(UniformTarget()(log))(batch)
    assert batch.user is not None
    fold = read.fold[batch.user]
    for number in range(3):
        own = fold == number
        seen = RewardToGoMeans.of(
            batch.items[~own], batch.reward[~own], torch.ones(int((~own).sum())).long(), folds=2, num_items=4
        )
        mean = RewardToGoMeans(seen.count, seen.total, 10.0).predict(torch.zeros(int(own.sum())).long())
        target = UniformTarget()(log).next_probability(batch)[own]
        expected = with_model(SlateBatch(rounds.items[own], rounds.reward[own]), mean, target)
        assert torch.allclose(rounds.need("predicted")[own], expected.need("predicted"))
        assert torch.allclose(rounds.need("expected")[own], expected.need("expected"))


def test_cascade_dr_agrees_with_weighing_and_is_surer(log: SlateFeedbackLog, monkeypatch: pytest.MonkeyPatch) -> None:
    estimators = {"dr": CascadeDR(), "ips": SlateIPS(PrefixWeights())}
    logs, policies = {"random": log}, {"uniform": UniformTarget()}
    table = estimates(logs, policies, estimators, ReplayOptions(model=RewardToGoModel()))
    widths = (table["high"] - table["low"]).to_list()
    assert table["low"][1] < table["value"][0] < table["high"][1] and widths[0] < 1.05 * widths[1]
    monkeypatch.setattr(fitted_tails, "NUMBERS", 64)  # 4 requests at once
    again = estimates(logs, policies, estimators, ReplayOptions(model=RewardToGoModel()))
    assert again["value"].to_list() == pytest.approx(table["value"].to_list(), rel=1e-12)


def test_what_cannot_be_put_together_is_refused(log: SlateFeedbackLog) -> None:
    [batch] = log.batches()
    read = SlateReader(log, RewardToGoModel())
    plain = read.join(lambda batch: UniformTarget()(log)(batch))
    with pytest.raises(RequestError, match="says how probable every item is"):
        plain(batch).need("predicted")
    with pytest.raises(RequestError, match="expected policies made by"):
        read.join(UniformTarget()(log), lambda batch: batch)
    with pytest.raises(RequestError, match="model=reward_to_go"):
        SlateReader(log).join(UniformTarget()(log))(batch).need("predicted")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"strength": 0.0}, r"strength=0\.0: expected above 0"), ({"folds": 1}, "folds=1: expected at least 2")],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        RewardToGoModel(**wrong)
