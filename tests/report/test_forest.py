from __future__ import annotations

import pytest

from recsys.report.forest import Estimate, difference_charts, forest_chart


def test_colour_follows_whether_zero_is_left_out(parsed, by_class):
    rows = [
        Estimate("better", 0.2, 0.1, 0.3),
        Estimate("worse", -0.2, -0.3, -0.1),
        Estimate("open", 0.1, -0.1, 0.3),
        Estimate("touching", 0.1, 0.0, 0.2),
        Estimate("one seed", 0.1),
    ]
    drawn = by_class(parsed(forest_chart(rows, "t")), "row")
    assert [one.get("class").split()[1] for one in drawn] == ["above", "below", "open", "open", "open"]


def test_dot_and_whisker_stand_at_their_numbers(parsed, by_class):
    tree = parsed(forest_chart([Estimate("a", 0.0, -0.5, 1.0)], "t"))
    zero = float(by_class(tree, "zero")[0].get("x1"))
    assert float(by_class(tree, "dot")[0].get("cx")) == pytest.approx(zero, abs=0.02)
    bar = by_class(tree, "whisker")[0]
    left, right = zero - float(bar.get("x1")), float(bar.get("x2")) - zero
    assert right == pytest.approx(2 * left, rel=0.01)


def test_zero_is_shown_even_where_every_interval_is_far(parsed, by_class):
    assert by_class(parsed(forest_chart([Estimate("a", 5.0, 4.0, 6.0)], "t")), "zero")


def test_numbers_beside_the_row_and_in_words(parsed, by_class):
    tree = parsed(forest_chart([Estimate("rere", 0.0089, 0.0033, 0.0144)], "t"))
    assert by_class(tree, "numbers")[0].text == "+0.0089 [+0.0033, +0.0144]"
    assert tree.find(".//desc").text == "rere: +0.0089 [+0.0033, +0.0144]."


def test_no_difference_at_all(parsed):
    assert parsed(forest_chart([], "t")).find(".//desc").text == "No data."


def test_each_reference_that_something_is_compared_with_has_a_chart(parsed, by_class):
    metrics = {
        "a": {
            "x_minus_b": {"value": 0.2, "low": 0.1, "high": 0.3},
            "x_minus_c": {"value": None, "low": None, "high": None},
        },
        "b": {"x": {"value": 1.0, "low": None, "high": None}},
    }
    page = difference_charts(metrics, "x", "X", ["b", "c", "d"])
    assert page.count("<svg") == 1
    assert "X against b, the same users" in page
    assert difference_charts(metrics, "x", "X", ["d"]) == ""


def test_values_beside_a_level_have_no_sign(parsed, by_class):
    tree = parsed(forest_chart([Estimate("ips", 0.5, 0.4, 0.6), Estimate("dm", 0.2, 0.1, 0.3)], "t", level=0.45))
    assert [one.get("class").split()[1] for one in by_class(tree, "row")] == ["open", "below"]
    assert by_class(tree, "numbers")[0].text == "0.5000 [0.4000, 0.6000]"
    level, dots = float(by_class(tree, "zero")[0].get("x1")), by_class(tree, "dot")
    assert float(dots[1].get("cx")) < level < float(dots[0].get("cx"))
