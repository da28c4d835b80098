"""Markup that cannot be broken by what it shows: text is escaped unless it is markup already."""

from __future__ import annotations

import math
from html import escape

_CLOSED = frozenset({"circle", "line", "path", "rect", "meta", "br"})


class Markup(str):
    """A fragment of HTML or SVG, safe to be put into a page as it stands."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """One element; children that are not `Markup` are escaped.

    An attribute's trailing underscore is dropped and inner ones become hyphens (`class_`, `stroke_width`); numbers are
    written with at most two decimals; an attribute that is None is left out.

    >>> element("p", "a < b", class_="note", title=None)
    '<p class="note">a &lt; b</p>'
    >>> element("circle", r=2.0, cx=1.257)
    '<circle r="2" cx="1.26"/>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(_attribute(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _CLOSED and not children:
        return Markup(f"<{tag}{written}/>")
    return Markup(f"<{tag}{written}>{join(*children)}</{tag}>")


def join(*parts: str) -> Markup:
    """Fragments one after the other; parts that are not `Markup` are escaped.

    >>> join(element("b", "x"), " & y")
    '<b>x</b> &amp; y'
    """
    return Markup("".join(part if isinstance(part, Markup) else escape(part, quote=False) for part in parts))


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        raise ValueError(f"an attribute is {value}; markup has no word for it")
    written = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written
