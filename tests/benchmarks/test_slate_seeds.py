from __future__ import annotations

import pytest

from benchmarks.quality.slate_seeds import differences_table, interval, rows_table


def run(gamma: float, all_item: float) -> dict[str, dict[str, dict[str, float]]]:
    own = {"log_likelihood": {"value": gamma - 1}, "click_log_likelihood": {"value": gamma}, "gamma": {"value": 0.8}}
    return {"gamma": own, "all_item": {"click_log_likelihood": {"value": all_item}}}


RUNS = [run(-1.0, -2.0), run(-2.0, -2.5), run(-3.0, -4.5)]


def test_means_and_students_interval_over_runs() -> None:
    assert interval([0.5]) == "0.500"
    assert interval([-1.0, -2.0, -3.0]) == "-2.000 [-4.484, 0.484]"
    lines = rows_table(RUNS).splitlines()
    assert lines[0] == "|  | answer | click | γ |"
    assert lines[2].startswith("| gamma | -3.000 [-5.484, -0.516] | -2.000 [-4.484, 0.484] | 0.800 ")
    assert lines[3].startswith("| all_item |  | -3.000 ")


def test_differences_are_taken_run_by_run() -> None:
    [head, _, row] = differences_table(RUNS, "gamma", ["all_item"]).splitlines()
    assert head.startswith("| gamma minus | answer | click |")
    mean, half = 1.0, 4.302653 * 0.5 / 3**0.5
    assert row.startswith(f"| all_item |  | {mean:+.3f} [{mean - half:+.3f}, {mean + half:+.3f}] |")


def test_a_metric_that_some_runs_lack_is_taken_from_the_others() -> None:
    fewer = [*RUNS[:2], {**RUNS[2], "gamma": {}}]
    assert rows_table(fewer).splitlines()[2].split("|")[3].strip() == interval([-1.0, -2.0])
    with pytest.raises(KeyError):
        differences_table(RUNS, "sft", ["all_item"])
