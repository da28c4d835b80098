from __future__ import annotations

from pathlib import Path

import pytest

from recsys.errors import RequestError
from recsys.replay.actions.importance import IPS, SNIPS
from recsys.replay.evaluation import evaluate
from recsys.replay.result import ReplayResult
from recsys.replay.targets.policies import UniformTarget
from tests.replay.feedback_files import action_table, two_policies
from tests.replay.test_evaluation import logs_of


@pytest.fixture
def result(tmp_path: Path) -> ReplayResult:
    policies = {"uniform": UniformTarget(), "[red]even[/red]": UniformTarget()}
    return evaluate(logs_of(two_policies(), tmp_path), policies, {"ips": IPS(), "snips": SNIPS()})


def test_one_estimate_is_a_row_of_the_table(result: ReplayResult) -> None:
    found = result.estimate("uniform", "snips")
    row = result.estimates.filter(policy="uniform", estimator="snips").row(0, named=True)
    assert vars(found) == row and found.remarks == ""


def test_an_estimate_that_is_none_or_not_the_only_one_is_refused(result: ReplayResult) -> None:
    with pytest.raises(RequestError, match=r"0 estimates of policy 'uniform' by 'dr'.* uniform/ips/old"):
        result.estimate("uniform", "dr")
    with pytest.raises(RequestError, match=r"2 estimates of policy '\[red\]even\[/red\]' by 'ips'"):
        result.estimate("[red]even[/red]", "ips")
    assert result.estimate("[red]even[/red]", "ips", log="old").value == result.estimate("uniform", "ips").value


def test_a_policy_on_its_own_log_is_the_placebo(result: ReplayResult) -> None:
    assert result.placebo["log"].to_list() == ["uniform"] * 2
    assert result.placebo["value"].to_list() == pytest.approx(result.placebo["on_policy_value"].to_list())


def test_printing_shows_names_as_they_are_and_values_with_intervals(result: ReplayResult) -> None:
    text = str(result)
    assert "[red]even[/red], evaluated on the log old, whose policy has value 0." in text
    assert "; on-policy value 0." in text.splitlines()[0]
    assert text.count("snips  ") == 3 and text.count("[0.") >= 6


def test_a_warning_stands_in_place_of_the_value(tmp_path: Path) -> None:
    result = evaluate(logs_of(action_table(60), tmp_path), {"uniform": UniformTarget()}, {"ips": IPS()})
    assert "no estimate" in str(result) and result.estimate("uniform", "ips").remarks.startswith("effective sample")
    assert result.metrics()["uniform/ips"]["value"] == {"value": None, "low": None, "high": None}
    assert result.estimate("uniform", "ips").value is not None
