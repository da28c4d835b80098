"""Make characters visible that would otherwise steer a terminal or change the order of what is read."""

from __future__ import annotations

import unicodedata

ESCAPES = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}

MARKS = frozenset("\u061c\u200b\u200e\u200f\u2060\ufeff\u2028\u2029") | {
    chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
}
"""Signs without a shape of their own: of direction, of width zero, of the end of a line."""


def visible(text: object, keep: str = "") -> str:
    r"""Return text as it is, with every sign that has no shape written as an escape.

    These are control characters (of terminals, among others), signs that turn the direction of reading, line
    separators and lone surrogates, which stand for bytes of file names that are no UTF-8. Brackets, emoji with their
    joiners and letters that are written from right to left stay as they are.

    Args:
        text: what to show; anything else than text is shown as `str` writes it.
        keep: signs that stay as they are, such as line breaks of a message.

    >>> print(visible("[bold] \x1b[2J tab\t end\n"), visible("\udcff \u202e"), visible("a\nb\t", keep="\n"))
    [bold] \x1b[2J tab\t end\n \udcff \u202e a
    b\t
    >>> visible("שלום 👩‍🚀 [/red] :smile:") == "שלום 👩‍🚀 [/red] :smile:"
    True
    """
    return "".join(one if one.isprintable() or one in keep else _shown(one) for one in str(text))


def _shown(sign: str) -> str:
    """Return an escape for a sign without a shape, and any other as it is."""
    if sign in ESCAPES:
        return ESCAPES[sign]
    hidden = sign in MARKS or unicodedata.category(sign) in ("Cc", "Cs")
    return sign if not hidden else ascii(sign)[1:-1]
