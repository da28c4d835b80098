from __future__ import annotations

import pytest

from recsys.report.table import metrics_table, plain_table

METRICS = {
    "popularity": {
        "hr@1": {"value": 0.02, "low": 0.01, "high": 0.03},
        "hr@10": {"value": 0.086, "low": 0.07, "high": 0.1},
        "gini": {"value": 0.9, "low": None, "high": None},
    },
    "sft": {
        "hr@1": {"value": 0.05, "low": 0.04, "high": 0.06},
        "hr@10": {"value": 0.2, "low": 0.18, "high": 0.22},
        "gini": {"value": 0.5, "low": None, "high": None},
    },
}


def words(one) -> str:
    return "".join(one.itertext())


def rows(tree):
    return [[words(cell) for cell in row] for body in tree.iter("tbody") for row in body]


def test_values_intervals_and_dashes(parsed):
    tree = parsed(metrics_table({**METRICS, "late": {"hr@1": {"value": None}, "hr@10": {"value": 1.0}}}))
    assert rows(tree) == [
        ["popularity", ".0200[.0100, .0300]", ".0860[.0700, .1000]", ".9000"],
        ["sft", ".0500[.0400, .0600]", ".2000[.1800, .2200]", ".5000"],
        ["late", "–", "1.0000", "–"],
    ]


def test_negative_and_large_values_keep_what_tells_them_apart(parsed):
    tree = parsed(metrics_table({"a": {"x": {"value": -0.5}, "y": {"value": 10.5}, "z": {"value": -10.5}}}, places=1))
    assert rows(tree) == [["a", "−.5", "10.5", "−10.5"]]


@pytest.mark.parametrize(("lower", "best_gini"), [((), ".9000"), (("gini",), ".5000")])
def test_the_best_of_each_column_is_emphasised(parsed, lower, best_gini):
    tree = parsed(metrics_table(METRICS, lower_is_better=lower))
    assert sorted(one.text for one in tree.iter("strong")) == sorted([".0500", ".2000", best_gini])


def test_equal_best_values_are_all_emphasised_and_a_row_alone_is_not(parsed):
    same = {"a": {"hr@1": {"value": 0.1}}, "b": {"hr@1": {"value": 0.1}}}
    assert len(list(parsed(metrics_table(same)).iter("strong"))) == 2
    assert not list(parsed(metrics_table({"a": same["a"]})).iter("strong"))


def test_groups_order_rows_and_leave_out_the_rest(parsed):
    grouped = metrics_table(METRICS, columns=["hr@10"], groups={"Trained": ["sft", "unknown"], "None": []})
    tree = parsed(grouped)
    assert rows(tree) == [["Trained"], ["sft", ".2000[.1800, .2200]"]]


def test_the_best_is_looked_for_among_the_rows_shown(parsed):
    tree = parsed(metrics_table({**METRICS, "hidden": {"hr@1": {"value": 1.0}}}, ["hr@1"], {"": ["popularity", "sft"]}))
    assert [one.text for one in tree.iter("strong")] == [".0500"]


def test_families_of_metrics_share_a_heading(parsed):
    tree = parsed(metrics_table(METRICS, names={"hr": "HR", "sft": "SFT"}))
    top, below = tree.find(".//thead")
    assert [(words(one), one.get("colspan")) for one in top][1:] == [("HR", "2"), ("gini", None)]
    assert [words(one) for one in below] == ["@1", "@10"]
    assert rows(tree)[1][0] == "SFT"


def test_every_row_is_as_wide_as_the_head(parsed):
    tree = parsed(metrics_table(METRICS, groups={"All": ["popularity", "sft"]}))
    top = tree.find(".//thead")[0]
    width = sum(int(one.get("colspan", 1)) for one in top)
    for body in tree.iter("tbody"):
        assert all(sum(int(cell.get("colspan", 1)) for cell in row) == width for row in body)


def test_a_plain_table(parsed):
    tree = parsed(plain_table(["level", "codes"], [["1", "<32>"]], caption="Health"))
    assert rows(tree) == [["1", "<32>"]]
    assert words(tree.find(".//caption")) == "Health"
