from __future__ import annotations

import math
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.report.formats import MISSING, interval, number, percent, significant, with_interval


def test_a_number_that_rounds_to_zero_has_no_sign():
    assert number(0.12345) == "0.1235"
    assert number(-0.00001, 2, signed=True) == number(0.0, 2, signed=True) == "0.00"
    assert number(-0.00001, 2, leading_zero=False) == ".00"
    assert number(-1234.5, 1) == "−1,234.5"


@pytest.mark.parametrize("form", [number, significant, percent, with_interval])
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_missing_is_a_dash(form, value):
    assert form(value) == MISSING


@given(st.floats(-1e8, 1e8))
def test_significant_digits_are_within_their_precision(value):
    read = float(significant(value).replace(",", "").replace("−", "-"))
    assert abs(read - value) <= max(5.001e-4 * abs(value), 5e-324)


@pytest.mark.parametrize(
    ("share", "read"), [(1.0, "100.0 %"), (0.0005, "0.1 %"), (0.00049, "< 0.1 %"), (0.0, "0.0 %"), (12.0, "1,200.0 %")]
)
def test_percent(share, read):
    assert percent(share) == read


def test_an_interval_needs_both_ends():
    assert interval(0.1, None) == interval(None, 0.1) == ""
    assert with_interval(0.25, None, 0.3) == "0.25"
    signed = partial(number, places=2, signed=True)
    assert with_interval(0.25, -0.1, 0.6, signed) == "+0.25 [−0.10, +0.60]"
