from __future__ import annotations

from recsys.report.formats import number
from recsys.training.session_tables import disagreement_table, disagreements


def cell(value: float, low: float | None, high: float | None) -> dict[str, float | None]:
    return {"value": value, "low": low, "high": high}


UP, DOWN = cell(0.2, 0.1, 0.3), cell(-0.2, -0.3, -0.1)
UNSURE, UNKNOWN = cell(-0.2, -0.3, 0.1), cell(-0.2, None, None)


def results(judged: dict[str, float | None], real: dict[str, float | None]) -> dict:
    return {"sft": {}, "ipa": {"judge_mean/click_minus_sft": judged, "ndcg/click_minus_sft": real}}


def test_signs_that_differ_and_are_sure_are_a_disagreement() -> None:
    (found,) = disagreements(results(UP, DOWN), ["click"], ["click"], "sft")
    assert (found.row, found.head, found.channel, found.judged, found.real) == ("ipa", "click", "click", UP, DOWN)
    assert len(disagreements(results(DOWN, UP), ["click"], ["click"], "sft")) == 1


def test_equal_signs_intervals_with_zero_and_unknown_ones_are_none() -> None:
    for judged, real in ((UP, UP), (DOWN, DOWN), (UP, UNSURE), (UP, UNKNOWN), (cell(0.1, 0.0, 0.2), DOWN)):
        assert disagreements(results(judged, real), ["click"], ["click"], "sft") == []
    assert disagreements(results(UP, DOWN), ["click"], ["click"], "sft_continued") == []
    assert disagreements(results(UP, DOWN), ["click"], ["click"], None) == []


def test_a_head_without_a_channel_of_its_name_is_compared_with_the_first() -> None:
    table = {"ipa": {"judge_mean/swt_minus_sft": UP, "ndcg/click_minus_sft": DOWN, "ndcg/like_minus_sft": UP}}
    (found,) = disagreements(table, ["swt"], ["click", "like"], "sft")
    assert found.channel == "click"


def test_the_table_has_a_line_each_and_one_where_there_is_none() -> None:
    found = disagreements(results(UP, DOWN), ["click"], ["click"], "sft")
    (row,) = disagreement_table(found, "sft").rows
    assert row[:3] == ["ipa", "click", number(0.2, signed=True, leading_zero=False)]
    (none,) = disagreement_table([], "sft").rows
    assert none[0] == "none" and len(none) == len(row)
