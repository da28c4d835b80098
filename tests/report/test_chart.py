from __future__ import annotations

import math
import re

import pytest

from recsys.report.chart import COLOURS, SMALL, Series, downsampled, line_chart
from recsys.report.page import STYLE


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+),([-\d.]+)", path)]


def paths(tree, by_class, kind):
    return [one.get("d") for one in by_class(tree, kind)]


def test_a_line_goes_through_its_points(parsed, by_class):
    tree = parsed(line_chart([Series("a", [0, 1, 2], [0.0, 1.0, 0.5])], "y"))
    (x0, y0), (x1, y1), (x2, y2) = points(paths(tree, by_class, "line")[0])
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 > y2 > y1
    assert (y0 - y2) == pytest.approx(y2 - y1, abs=0.11)


def test_grid_lines_stand_at_their_numbers(parsed, by_class):
    tree = parsed(line_chart([Series("a", [0, 1], [0.0, 10.0])], "y"))
    grid = [float(one.get("y1")) for one in by_class(tree, "grid")]
    numbers = [float(one.text) for one in by_class(tree, "axis") if one.get("text-anchor") == "end"]
    (_, low), (_, high) = points(paths(tree, by_class, "line")[0])
    for place, value in zip(grid, numbers, strict=True):
        assert place == pytest.approx(low + (high - low) * value / 10, abs=0.2)


def test_a_gap_breaks_the_line(parsed, by_class):
    tree = parsed(line_chart([Series("a", [0, 1, 2, 3], [1.0, None, math.nan, 2.0])], "y"))
    drawn = paths(tree, by_class, "line")[0]
    assert drawn.count("M") == 2
    assert len(points(drawn)) == 2


def test_a_band_runs_there_and_back(parsed, by_class):
    band = Series("a", [0, 1, 2], [1.0, 2.0, 3.0], [0.5, 1.5, None], [1.5, 2.5, 3.5])
    edge = points(paths(parsed(line_chart([band], "y")), by_class, "band")[0])
    assert len(edge) == 4
    assert edge[0][0] == edge[3][0]
    assert edge[0][1] < edge[3][1]


def test_several_series_carry_names_one_carries_its_last_value(parsed, by_class):
    two = parsed(line_chart([Series("sft", [0, 1], [0.0, 0.5]), Series("rere", [0, 1], [0.0, 0.501])], "y"))
    labels = by_class(two, "label")
    assert [one.text for one in labels] == ["sft", "rere"]
    assert abs(float(labels[0].get("y")) - float(labels[1].get("y"))) >= 15 - 0.02
    one = parsed(line_chart([Series("sft", [0, 1], [0.0, 0.5])], "y"))
    assert [label.text for label in by_class(one, "label")] == ["0.5000"]


def test_a_series_keeps_its_colour_when_an_earlier_one_is_empty(parsed, by_class):
    tree = parsed(line_chart([Series("a", [0], [None]), Series("b", [0, 1], [1.0, 2.0])], "y"))
    assert not by_class(tree, "series-1")
    assert by_class(tree, "series-2")


def test_references_are_dashed_and_named(parsed, by_class):
    tree = parsed(line_chart([Series("a", [0, 1], [0.1, 0.2])], "y", references={"popularity": 0.4}))
    dashed = by_class(tree, "dashed")
    assert len(dashed) == 1
    assert float(dashed[0].get("y1")) < min(y for _, y in points(paths(tree, by_class, "line")[0]))
    assert "popularity" in [one.text for one in by_class(tree, "label")]


@pytest.mark.parametrize("series", [[], [Series("a", [], [])], [Series("a", [0, 1], [None, math.nan])]])
def test_nothing_to_draw_is_said(parsed, series):
    tree = parsed(line_chart(series, "y", references={"r": 1.0}, size=SMALL))
    assert "nothing was logged" in [one.text for one in tree.iter("text")]


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.3, 0.3], [5e8, 6e8], [1e-9, 2e-9], [-2.0, -1.0]])
def test_everything_drawn_lies_inside_the_drawing(parsed, by_class, values):
    tree = parsed(line_chart([Series("a name", [3, 4], values)], "y", "x", size=SMALL))
    for x, y in points(paths(tree, by_class, "line")[0]):
        assert 0 <= x <= SMALL.width
        assert 0 <= y <= SMALL.height


def test_one_point_is_a_dot(parsed, by_class):
    assert len(by_class(parsed(line_chart([Series("a", [7], [0.5])], "y")), "dot")) == 1


def test_the_words_hold_both_ends(parsed):
    description = parsed(line_chart([Series("sft", [0, 9], [0.1, 0.25])], "y", "epoch")).find(".//desc").text
    assert "sft" in description
    assert "0.1000" in description
    assert "0.2500 at epoch 9" in description


def test_more_series_than_colours_share_a_grey(parsed, by_class):
    many = [Series(str(index), [0], [float(index)]) for index in range(COLOURS + 2)]
    tree = parsed(line_chart(many, "y"))
    assert [one.text for one in by_class(tree, "label")] == [one.name for one in many]
    assert len([one for one in by_class(tree, "series-more") if one.tag == "g"]) == 2
    assert len([one for one in by_class(tree, f"series-{COLOURS}") if one.tag == "g"]) == 1


def test_every_colour_is_defined():
    assert all(f".series-{index + 1} " in STYLE.read_text(encoding="utf-8") for index in range(COLOURS))


def test_thinning_keeps_means_extremes_and_length():
    noisy = downsampled(Series("a", list(range(1000)), [float(value % 10) for value in range(1000)]), 100)
    assert len(noisy.x) == 100
    assert noisy.y == pytest.approx([4.5] * 100)
    assert set(noisy.low) == {0.0}
    assert set(noisy.high) == {9.0}
    short = Series("a", [0, 1], [1.0, 2.0])
    assert downsampled(short) is short


def test_thinning_passes_over_gaps():
    halved = downsampled(Series("a", list(range(8)), [1.0, None] * 4), 2)
    assert halved.x == [1.0, 5.0]
    assert halved.y == [1.0, 1.0]
