from __future__ import annotations

from itertools import combinations

import pytest

from recsys.report.labels import HEIGHT, Box, labels_beside

PAGE = Box(0, 0, 800, 300)


def test_a_label_stands_to_the_right_of_its_point_at_its_height() -> None:
    [one] = labels_beside([(100, 50)], ["random"], PAGE)
    assert one.anchor == "start" and one.x > 100 and one.y == 50


def test_at_the_right_edge_it_stands_to_the_left() -> None:
    [one] = labels_beside([(790, 50)], ["random"], PAGE)
    assert one.anchor == "end" and one.x < 790 and one.box.left > 0


@pytest.mark.parametrize("places", [[(100, 50)] * 6, [(100 + 20 * at, 50 + at) for at in range(8)]])
def test_labels_of_points_that_are_near_do_not_overlap(places: list[tuple[float, float]]) -> None:
    placed = labels_beside(places, [f"policy_{at}" for at in range(len(places))], PAGE)
    assert not any(one.box.overlap(other.box) for one, other in combinations(placed, 2))
    assert all(one.box.overlap(PAGE) == one.box.area for one in placed)


def test_what_is_drawn_is_not_covered() -> None:
    bar = Box(0, 48, 800, 52)
    [one] = labels_beside([(100, 50)], ["random"], PAGE, [bar])
    assert not one.box.overlap(bar) and abs(one.y - 50) == HEIGHT


def test_where_there_is_no_room_every_label_is_placed_all_the_same() -> None:
    tiny = Box(0, 0, 20, 20)
    assert len(labels_beside([(10, 10)] * 40, ["x" * 300] * 40, tiny)) == 40
    assert labels_beside([], [], tiny) == []
