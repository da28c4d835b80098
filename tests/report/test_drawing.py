from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.report.drawing import Scale, decimals, extent, figure, line, spread_labels, ticks


@given(st.lists(st.floats(0, 100), max_size=8))
def test_spread_places_do_not_touch_keep_order_and_stay_inside(wanted):
    placed = spread_labels(wanted, 12.0, 0.0, 100.0)
    assert len(placed) == len(wanted)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    steps = [placed[after] - placed[before] for before, after in itertools.pairwise(order)]
    assert all(step >= 12.0 - 1e-9 for step in steps)
    assert all(-1e-9 <= place <= 100.0 + 1e-9 for place in placed)


def test_spread_leaves_alone_what_has_room():
    assert spread_labels([80.0, 10.0, 40.0], 12.0, 0.0, 100.0) == [80.0, 10.0, 40.0]


def test_spread_moves_as_little_as_possible():
    assert spread_labels([50.0, 50.0, 50.0], 10.0, 0.0, 100.0) == pytest.approx([40.0, 50.0, 60.0])
    assert spread_labels([99.0, 100.0], 10.0, 0.0, 100.0) == pytest.approx([90.0, 100.0])


def test_a_figure_is_told_in_words(parsed):
    tree = parsed(figure(line(0, 0, 1, 1, "grid"), title="T", description="It rises.", width=10, height=5, note="N"))
    drawing = tree.find(".//svg")
    assert drawing.get("role") == "img"
    assert drawing.get("aria-label") == "T"
    description = drawing.find("desc")
    assert description.text == "It rises."
    assert drawing.get("aria-describedby") == description.get("id")
    assert tree.find(".//figcaption").text == "T"
    assert tree.find(".//p").text == "N"


def test_two_figures_of_a_page_have_different_names(parsed):
    names = [
        parsed(figure(title=title, description="", width=1, height=1)).find(".//desc").get("id") for title in ("a", "b")
    ]
    assert names[0] != names[1]


def test_words_that_are_no_utf8_can_be_told(parsed):
    assert parsed(figure(title="", description="bytes\udcff", width=1, height=1)).find(".//desc").text


finite = st.floats(-1e3, 1e3, allow_nan=False)


@given(finite, st.floats(1e-3, 1e6), st.integers(2, 8))
def test_ticks_are_round_ascending_and_inside(low, length, count):
    high = low + length
    marks = ticks(low, high, count)
    room = 1e-6 * max(abs(low), abs(high), length)
    assert all(low - room <= mark <= high + room for mark in marks)
    steps = [after - before for before, after in itertools.pairwise(marks)]
    assert all(step > 0 for step in steps)
    assert len(marks) <= 2 * count + 2
    for step in steps:
        mantissa = step / 10 ** math.floor(math.log10(step * 1.0001))
        assert min(abs(mantissa - round_one) for round_one in (1, 2, 5, 10)) < 1e-2


def test_extent_leaves_room_but_does_not_cross_zero():
    assert extent([1.0, 3.0], 0.1) == pytest.approx((0.8, 3.2))
    assert extent([0.1, 1.1], 0.5) == pytest.approx((0.0, 1.6))
    assert extent([-1.1, -0.1], 0.5) == pytest.approx((-1.6, 0.0))
    assert extent([-1.0, 1.0], 0.5) == pytest.approx((-2.0, 2.0))


def test_extent_of_one_value_is_not_empty():
    for value in (0.0, 5.0, -5.0):
        low, high = extent([value, value])
        assert low <= value <= high
        assert low < high


def test_extent_passes_over_what_is_no_number():
    assert extent([math.nan, 1.0, None, math.inf, 2.0]) == (1.0, 2.0)


def test_scale_is_the_line_through_both_ends():
    scale = Scale(-1.0, 1.0, 300.0, 100.0)
    assert [scale(value) for value in (-1.0, 0.0, 1.0)] == [300.0, 200.0, 100.0]


def test_decimals():
    assert decimals([0.0, 5.0]) == 0
    assert decimals([0.0, 0.005, 0.01]) == 3
    assert decimals([]) == 0
