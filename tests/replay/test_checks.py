from __future__ import annotations

from pathlib import Path

import pytest

from recsys.data.parquet_feedback import ParquetFeedback
from recsys.replay.checks import CLIP, LIMITS, PROPENSITIES, checks, tails
from recsys.replay.evaluation import ReplayOptions, evaluate
from recsys.replay.importance import IPS
from recsys.replay.replayed import replay
from recsys.replay.slates.importance import SlateIPS
from recsys.replay.targets.named import Uniform
from tests.replay.feedback_files import action_table, slate_table, written

UNIFORM = {"uniform": Uniform()}


def test_clipping_goes_from_one_to_no_clipping(tmp_path: Path) -> None:
    logs = {"old": ParquetFeedback(written(action_table(), tmp_path / "log.parquet")).log()}
    table = evaluate(logs, UNIFORM, {**checks(logs), "ips": IPS()})
    values = dict(table.select("estimator", "value").iter_rows())
    clipped = [values[f"{CLIP}{limit:g}"] for limit in LIMITS]
    assert clipped == sorted(clipped) and clipped[0] < clipped[1]
    assert clipped[-1] == pytest.approx(values["ips"], rel=1e-12)
    assert values[PROPENSITIES] == pytest.approx(3, rel=0.05)


def test_slates_have_no_such_checks_nor_tails(tmp_path: Path) -> None:
    logs = {"random": ParquetFeedback(written(slate_table(), tmp_path / "log.parquet")).log()}
    assert checks(logs) == {}
    assert len(tails(replay(logs, UNIFORM, {"ips": SlateIPS()}, ReplayOptions()))) == 0


def test_the_tail_says_how_much_weight_is_of_which_size(tmp_path: Path) -> None:
    log = action_table()
    logs = {"old": ParquetFeedback(written(log, tmp_path / "log.parquet")).log()}
    table = tails(replay(logs, UNIFORM, {"ips": IPS()}, ReplayOptions()))
    weight = 1 / 3 / log["propensity"]
    for row in table.iter_rows(named=True):
        above = weight.filter(weight >= row["weight"])
        assert row["rounds"] == pytest.approx(len(above) / len(log))
        assert row["mass"] == pytest.approx(above.sum() / weight.sum())
    assert table["policy"].unique().to_list() == ["uniform"] and table["rounds"][0] == 1
