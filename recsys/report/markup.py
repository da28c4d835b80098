"""Build HTML and SVG from text: unless it is markup, it is escaped and its control characters are made visible."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from recsys.report.visible import visible

_CLOSED = frozenset({"circle", "line", "path", "rect", "meta", "br"})


BREAKS = "\n\t"
"""Characters of text that is laid out already, which stay as they are."""


class Markup(str):
    """A fragment of HTML or SVG that needs no escaping."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """Return one element. Children that are not `Markup` are escaped.

    In names of attributes, a trailing underscore is dropped and others become hyphens (`class_`, `stroke_width`).
    Numbers get at most two decimals. Attributes that are None are left out.

    >>> element("p", "a < b", class_="note", title=None)
    '<p class="note">a &lt; b</p>'
    >>> element("circle", r=2.0, cx=1.257)
    '<circle r="2" cx="1.26"/>'
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(visible(_attribute(value)))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _CLOSED and not children:
        return Markup(f"<{tag}{written}/>")
    keep = BREAKS if tag == "pre" else ""
    return Markup(f"<{tag}{written}>{_joined(children, keep)}</{tag}>")


def join(*parts: str) -> Markup:
    """Concatenate fragments. Parts that are not `Markup` are escaped; a page with them can be written as UTF-8.

    >>> join(element("b", "x"), " & y")
    '<b>x</b> &amp; y'
    """
    return _joined(parts)


def _joined(parts: Iterable[str], keep: str = "") -> Markup:
    shown = (part if isinstance(part, Markup) else escape(visible(part, keep), quote=False) for part in parts)
    return Markup("".join(shown))


def _attribute(value: str | float) -> str:
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        raise ValueError(f"an attribute is {value}, expected a finite number or text")
    written = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if written == "-0" else written
