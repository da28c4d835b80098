"""One report page as a single file without network access or scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys.report.markup import Markup, element, join

STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Args:
        title: stands in the list of contents.
        body: what `line_chart`, `metrics_table` and the other builders return, joined by `join`.
        lead: one or two sentences that say what is seen; may be empty.
    """

    title: str
    body: Markup
    lead: str = ""


def page(title: str, sections: Sequence[Section], subtitle: str = "", facts: Mapping[str, str] | None = None) -> str:
    """The whole page as text, to be written to a file.

    Args:
        title: of the page and of the browser's tab.
        sections: from top to bottom.
        subtitle: one sentence below the title.
        facts: names and values in a strip below it (data, split, seeds, time taken, …).
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )
    known = [element("div", element("dt", name), element("dd", value)) for name, value in (facts or {}).items()]
    contents = [element("a", section.title, href=f"#{_anchor(index)}") for index, section in enumerate(sections)]
    header = element(
        "header",
        element("h1", title),
        element("p", subtitle, class_="subtitle") if subtitle else Markup(),
        element("dl", *known, class_="facts") if known else Markup(),
        element("nav", *contents, aria_label="Contents") if len(contents) > 1 else Markup(),
    )
    body = element("body", header, element("main", *(_section(index, one) for index, one in enumerate(sections))))
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def small_multiples(charts: Sequence[Markup]) -> Markup:
    """Charts of the same kind beside each other, as many as the page is wide."""
    return element("div", *charts, class_="multiples")


def collapsible(summary: str, text: str) -> Markup:
    """Preformatted text that opens on a click: a configuration, a log."""
    return element("details", element("summary", summary), element("pre", text))


def paragraph(*parts: str) -> Markup:
    """Running text."""
    return element("p", *parts)


def _section(index: int, section: Section) -> Markup:
    lead = element("p", section.lead, class_="lead") if section.lead else Markup()
    return element("section", join(element("h2", section.title), lead, section.body), id=_anchor(index))


def _anchor(index: int) -> str:
    return f"section-{index + 1}"
