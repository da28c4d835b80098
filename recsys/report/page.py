"""Write a report page as a single HTML file that needs no network access and runs no scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recsys.report.markup import Markup, element, join

STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Args:
        title: title of the section, also listed in the contents.
        body: markup from `line_chart`, `metrics_table` and the other builders, joined by `join`.
        lead: one or two sentences that say what the section shows; may be empty.
    """

    title: str
    body: Markup
    lead: str = ""


def page(title: str, sections: Sequence[Section], subtitle: str = "", facts: Mapping[str, str] | None = None) -> str:
    """Return the HTML of the whole page.

    Args:
        title: title of the page and of the browser tab.
        sections: the sections, from top to bottom.
        subtitle: one sentence below the title.
        facts: names and values that are listed below the title, such as data, split, seeds and duration.
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
    """Return charts of the same kind side by side, as many in a row as fit."""
    return element("div", *charts, class_="multiples")


def collapsible(summary: str, text: str) -> Markup:
    """Return preformatted text, such as a configuration or a log, that opens on a click."""
    return element("details", element("summary", summary), element("pre", text))


def paragraph(*parts: str) -> Markup:
    """Return a paragraph of text."""
    return element("p", *parts)


def _section(index: int, section: Section) -> Markup:
    lead = element("p", section.lead, class_="lead") if section.lead else Markup()
    return element("section", join(element("h2", section.title), lead, section.body), id=_anchor(index))


def _anchor(index: int) -> str:
    return f"section-{index + 1}"
