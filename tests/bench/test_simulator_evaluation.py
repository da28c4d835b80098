"""Policies that a run trains in a simulator, played there: what is asked and reported beside rewards."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.bench.simulator_evaluation import SimulatorEvaluation
from recsys.config.compose import compose
from recsys.errors import ConfigurationError
from recsys.runs.run import run_stages


def test_novelty_serendipity_and_the_trade_off_are_reported(tmp_path: Path) -> None:
    """With the threshold 0 every item counts as new: serendipity is the click rate."""
    sizes = ["debug=limit", "evaluation.limit=5", "users=20", "steps=5", f"root={tmp_path}"]
    given = ["simulator=slate/novelty", "evaluation.novelty_threshold=0"]
    line = "+report.trade_off.lines.learning=[greedy,actor_critic]"
    result = run_stages(compose(["experiment=simulator/interest", *sizes, *given, line]))
    for cells in result.metrics.values():
        assert cells["serendipity"] == cells["click_rate"]
        assert cells["novelty"]["low"] <= cells["novelty"]["value"] <= cells["novelty"]["high"]
    page = (result.folder / "report.html").read_text()
    assert "serendipity</th>" in page and "correlation" not in page.split("config.yaml")[0]
    assert "Reward a user and session, over novelty" in page
    assert "learning: greedy, actor-critic." in page, "the names are those of the table"


def test_a_training_cannot_replace_a_baseline() -> None:
    added = "+training/simulator@train.greedy=actor_critic"
    config = compose(["experiment=simulator/interest", added])
    with pytest.raises(ConfigurationError, match=r"train\.greedy: the evaluation has a row 'greedy' of its own"):
        run_stages(config)


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ConfigurationError, match=r"novelty_threshold=.*: expected at least 0"):
        SimulatorEvaluation({}, novelty_threshold=threshold)
