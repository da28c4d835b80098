from __future__ import annotations

import re
from html.parser import HTMLParser

from recsys.report.chart import Series, line_chart
from recsys.report.markup import join
from recsys.report.page import STYLE, Section, collapsible, page, paragraph, small_multiples
from recsys.report.table import metrics_table

VOID = {"meta", "br"}


class Reader(HTMLParser):
    """Checks that tags match, and remembers ids and links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag


def example() -> str:
    charts = [line_chart([Series("a", [0, 1], [0.1, 0.2])], title) for title in ("reward", "entropy")]
    return page(
        "ReRe <on> MovieLens",
        [
            Section("Results", metrics_table({"a": {"hr@1": {"value": 0.1}}}), "What came out."),
            Section("Reward", small_multiples(charts)),
            Section("Configuration", join(collapsible("config.yaml", "a: <b>"), paragraph("x & y"))),
        ],
        subtitle="One sentence.",
        facts={"Data": "MovieLens-100K"},
    )


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader


def test_tags_match_and_ids_are_unique():
    reader = read(example())
    assert len(set(reader.ids)) == len(reader.ids)


def test_contents_lead_to_the_sections():
    reader = read(example())
    assert reader.links == ["#section-1", "#section-2", "#section-3"]
    assert set(reader.links) <= {f"#{name}" for name in reader.ids}


def test_the_page_needs_neither_network_nor_script():
    html = example()
    reader = read(html)
    assert not reader.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"https?:|//[a-z]|url\(|@import", html)


def test_text_is_escaped():
    html = example()
    assert "<title>ReRe &lt;on&gt; MovieLens</title>" in html
    assert "a: &lt;b&gt;" in html
    assert "x &amp; y" in html


def test_one_section_needs_no_contents():
    assert "nav" not in read(page("t", [Section("only", paragraph("p"))])).tags


def test_the_same_page_twice_is_the_same_text():
    assert example() == example()


def test_every_class_that_is_written_is_styled():
    classes = {name for words in re.findall(r'class="([^"]*)"', example()) for name in words.split()}
    styled = set(re.findall(r"\.([a-z][a-z0-9-]*)", STYLE.read_text(encoding="utf-8")))
    assert classes <= styled


def test_light_and_dark_define_the_same_colours():
    style = STYLE.read_text(encoding="utf-8")
    light, dark = (set(re.findall(r"(--[a-z0-9]+):", block)) for block in re.findall(r":root \{([^}]*)\}", style)[:2])
    assert light == dark
    used = set(re.findall(r"var\((--[a-z0-9]+)\)", style)) - {"--share"}
    assert used <= light
