"""Names that data, policies and folders can have and that steer a careless console."""

from __future__ import annotations

HOSTILE = (
    "[rec] (2007) [ ]",
    "AC[/]DC [/red]",
    "[bold]loud[/bold] \\[x] ends\\",
    "Art :heart: of :smile:",
    "two\nlines",
    "a\ttab\rback",
    "clear\x1b[2J screen\x1b]0;title\x07",
    "null\x00 c1\x9b31m del\x7f",
    "שלום עולם",
    "turn\u202eed \u2066round",
    "👩‍🚀 👍🏽 café 日本語",
    "bytes\udcff of a file",
    "x" * 300,
)
