from __future__ import annotations

import math
import re

import pytest

from recsys.report.chart import COLOURS, LARGE, Series, line_chart
from recsys.report.page import STYLE
from recsys.report.table import metrics_table
from recsys.report.trade_off import trade_off_chart
from tests.report.hostile import HOSTILE


def cell(value: float | None, low: float | None = None, high: float | None = None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


def row(novelty: float, reward: float) -> dict[str, dict[str, float | None]]:
    return {"novelty": cell(novelty, novelty - 0.1, novelty + 0.2), "reward": cell(reward, reward - 1, reward + 2)}


METRICS = {"random": row(0.6, 6), "mmr_3": row(0.4, 10), "mmr_5": row(0.3, 11), "mmr_9": row(0.1, 12)}


def dots(tree, by_class) -> list[tuple[float, float]]:
    return [(float(one.get("cx")), float(one.get("cy"))) for one in by_class(tree, "dot")]


def labels(tree, by_class) -> list[str]:
    return [one.text for one in by_class(tree, "label")]


def test_points_stand_at_their_numbers_in_the_order_of_the_rows(parsed, by_class):
    tree = parsed(trade_off_chart(METRICS))
    places = dots(tree, by_class)
    assert labels(tree, by_class) == list(METRICS)
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = places
    assert x0 > x1 > x2 > x3 and y0 > y1 > y2 > y3, "up is more"
    assert (x0 - x1) == pytest.approx(2 * (x1 - x2), abs=0.1)
    assert (y0 - y1) == pytest.approx(4 * (y1 - y2), abs=0.1)


def test_bars_reach_from_the_lower_to_the_upper_end(parsed, by_class):
    tree = parsed(trade_off_chart(METRICS))
    across, upwards = by_class(tree, "error-bar")[:2]
    (x, y), other = dots(tree, by_class)[0], dots(tree, by_class)[1]
    unit, step = (x - other[0]) / 0.2, (other[1] - y) / 4
    ends = float(across.get("x1")), float(across.get("x2")), float(across.get("y1"))
    assert ends == pytest.approx((x - 0.1 * unit, x + 0.2 * unit, y), abs=0.1)
    ends = float(upwards.get("y1")), float(upwards.get("y2")), float(upwards.get("x1"))
    assert ends == pytest.approx((y - step, y + 2 * step, x), abs=0.1)


@pytest.mark.parametrize("ends", [(None, None), (0.1, None), (None, 0.5), (math.nan, 0.5)])
def test_without_an_interval_there_is_no_bar(parsed, by_class, ends):
    metrics = {"a": {"novelty": cell(0.3, *ends), "reward": cell(1.0)}}
    tree = parsed(trade_off_chart(metrics))
    assert not by_class(tree, "error-bar") and len(dots(tree, by_class)) == 1


def test_a_line_joins_its_rows_in_the_given_order(parsed, by_class):
    tree = parsed(trade_off_chart(METRICS, {"MMR": ["mmr_9", "mmr_3", "mmr_5"]}))
    [path] = by_class(tree, "joined")
    corners = [(float(x), float(y)) for x, y in re.findall(r"([-\d.]+),([-\d.]+)", path.get("d"))]
    _, three, five, nine = dots(tree, by_class)
    assert [at for corner in corners for at in corner] == pytest.approx([*nine, *three, *five], abs=0.1)
    assert by_class(tree, "note")[0].text == "Lines join one policy at several settings. MMR: mmr_9, mmr_3, mmr_5."


def test_rows_of_a_line_that_were_not_played_are_passed_over_and_one_point_is_no_line(parsed, by_class):
    tree = parsed(trade_off_chart(METRICS, {"MMR": ["mmr_3", "mmr_7", "mmr_9"], "alone": ["random", "greedy"]}))
    [path] = by_class(tree, "joined")
    assert path.get("d").count(",") == 2
    assert "alone" not in by_class(tree, "note")[0].text
    assert not by_class(parsed(trade_off_chart(METRICS, {"alone": ["random"]})), "note")


def test_without_novelty_diversity_is_on_the_axis(parsed, by_class):
    metrics = {name: {"diversity": cells["novelty"], "reward": cells["reward"]} for name, cells in METRICS.items()}
    tree = parsed(trade_off_chart(metrics))
    assert "diversity of a slate" in [one.text for one in by_class(tree, "axis")]
    assert tree.find(".//figcaption").text == "Reward a user and session, over diversity"
    both = {name: cells | {"diversity": cell(9.0)} for name, cells in METRICS.items()}
    assert "novelty of the items of a slate" in [one.text for one in by_class(parsed(trade_off_chart(both)), "axis")]


def test_a_row_without_both_numbers_is_left_out_and_the_others_keep_their_colours(parsed, by_class):
    wrong = {"none": {"reward": cell(1.0)}, "null": {**row(1, 1), "reward": cell(None)}, "nan": row(math.nan, 1.0)}
    tree = parsed(trade_off_chart({**wrong, **METRICS}))
    assert labels(tree, by_class) == list(METRICS)
    assert [one.get("class") for one in by_class(tree, "point")] == [f"point series-{at}" for at in (4, 5, 6, 7)]


@pytest.mark.parametrize("metrics", [{}, {"a": {"reward": cell(1.0)}}, {"a": {"novelty": cell(1.0)}}])
def test_nothing_to_draw_is_said(parsed, metrics):
    tree = parsed(trade_off_chart(metrics))
    assert "no policy has both numbers" in [one.text for one in tree.iter("text")]


def test_colours_are_those_of_a_line_chart_with_the_same_rows(parsed, by_class):
    many = {f"policy_{at}": row(0.1 * at, at) for at in range(COLOURS + 2)}
    of_points = [one.get("class") for one in by_class(parsed(trade_off_chart(many)), "label")]
    lines = line_chart([Series(name, [0, 1], [0.0, 1.0]) for name in many], "y")
    assert of_points == [one.get("class") for one in by_class(parsed(lines), "label")]


def test_equal_points_have_labels_apart(parsed, by_class):
    tree = parsed(trade_off_chart(dict.fromkeys(["one", "other", "third"], row(0.3, 5))))
    heights = {(one.get("y"), one.get("text-anchor")) for one in by_class(tree, "label")}
    assert len(heights) == 3


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_those_of_the_table_whatever_they_hold(parsed, by_class, name):
    metrics = {name: row(0.3, 5), "b": row(0.4, 6)}
    for names in ({}, {name: f"{name} <named>"}):
        chart, table = trade_off_chart(metrics, {name: [name, "b"]}, names), metrics_table(metrics, names=names)
        heads = [one.text for one in parsed(table).iter("th") if one.get("scope") == "row"]
        assert labels(parsed(chart), by_class) == heads
        assert heads[0] in parsed(chart).find(".//desc").text


def test_the_words_hold_both_numbers_with_their_intervals(parsed):
    description = parsed(trade_off_chart({"random": row(0.6, 6)})).find(".//desc").text
    assert description == "random: novelty 0.6 [0.5, 0.8], reward 6 [5, 8]."


def test_everything_drawn_lies_inside_the_drawing_and_its_looks_are_defined(parsed, by_class):
    tree = parsed(trade_off_chart(METRICS, {"MMR": ["mmr_3", "mmr_5"]}))
    assert all(0 <= x <= LARGE.width and 0 <= y <= LARGE.height for x, y in dots(tree, by_class))
    style = STYLE.read_text(encoding="utf-8")
    assert all(f"svg .{name} {{" in style for name in ("joined", "error-bar", "leader", "point .label"))
    assert tree.find(".//svg").get("width") == "860", "narrow screens scroll drawings of this width"
