from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.report.frame import figure, line, spread


@given(st.lists(st.floats(0, 100), max_size=8))
def test_spread_places_do_not_touch_keep_order_and_stay_inside(wanted):
    placed = spread(wanted, 12.0, 0.0, 100.0)
    assert len(placed) == len(wanted)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index])
    steps = [placed[after] - placed[before] for before, after in itertools.pairwise(order)]
    assert all(step >= 12.0 - 1e-9 for step in steps)
    assert all(-1e-9 <= place <= 100.0 + 1e-9 for place in placed)


def test_spread_leaves_alone_what_has_room():
    assert spread([80.0, 10.0, 40.0], 12.0, 0.0, 100.0) == [80.0, 10.0, 40.0]


def test_spread_moves_as_little_as_possible():
    assert spread([50.0, 50.0, 50.0], 10.0, 0.0, 100.0) == pytest.approx([40.0, 50.0, 60.0])
    assert spread([99.0, 100.0], 10.0, 0.0, 100.0) == pytest.approx([90.0, 100.0])


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
