from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.report.markup import Markup, element, join
from recsys.report.visible import visible


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])))
def test_text_cannot_become_markup(words):
    tree = ElementTree.fromstring(element("p", words, title=words))
    assert (tree.text or "") == visible(words)
    assert len(tree) == 0
    assert tree.get("title") == visible(words)


@given(st.text())
def test_any_text_makes_a_page_that_can_be_written(words):
    tree = ElementTree.fromstring(element("p", words, title=words).encode("utf-8"))
    assert (tree.text or "") == tree.get("title") == visible(words)


def test_text_that_is_laid_out_keeps_its_lines():
    assert element("pre", "a\n\tb\x1b") == "<pre>a\n\tb\\x1b</pre>"
    assert element("p", "a\n\tb\x1b") == "<p>a\\n\\tb\\x1b</p>"


def test_markup_is_kept_as_it_is():
    inner = element("b", "<")
    assert element("p", inner) == "<p><b>&lt;</b></p>"
    assert join(inner, "<") == "<b>&lt;</b>&lt;"
    assert isinstance(element("p"), Markup)


def test_attributes():
    written = element("line", x1=1.0, y1=2.346, stroke_width=3, class_="a", id=None)
    assert written == '<line x1="1" y1="2.35" stroke-width="3" class="a"/>'
    assert element("rect", x=-0.001) == '<rect x="0"/>'


def test_an_empty_element_that_may_have_children_is_closed_by_a_tag():
    assert element("td") == "<td></td>"
    assert element("circle", element("title", "t"), r=1) == '<circle r="1"><title>t</title></circle>'


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_places_that_are_no_places_are_refused(value):
    with pytest.raises(ValueError, match="finite number"):
        element("circle", cx=value)
