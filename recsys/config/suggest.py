"""Suggest the nearest known word for a misspelled one, for error messages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from recsys.config.renamed import RENAMED
from recsys.errors import ConfigurationError

MOST_LISTED = 12
LEAST_SIMILARITY = 0.6


def nearest_word(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that `word` was renamed to, or the most similar (difflib ratio of at least 0.6), or None.

    >>> nearest_word("widht", ["heads", "width"])
    'width'
    >>> nearest_word("rollout", ["reward", "sampler"])
    'sampler'
    """
    known = set(known)
    renamed = [name for name in RENAMED.get(word, ()) if name in known]
    if renamed:
        return renamed[0]
    matches = get_close_matches(word, sorted(known), n=1, cutoff=LEAST_SIMILARITY)
    return matches[0] if matches else None


def require_near(words: Iterable[str], known: Iterable[str], key: str) -> None:
    """Refuse a word that is not known and is near to one that is, as it is mistyped; others may be left out on purpose.

    Args:
        words: such as the names of rows that others are compared with.
        known: what there is.
        key: full key of the words, for the message.

    Raises:
        ConfigurationError: names the word and the one that is near.

    >>> require_near(["sfft", "sft_continued"], ["sft", "rere"], "evaluation.references")
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: evaluation.references: there is no 'sfft'; did you mean 'sft'?
    """
    there = set(map(str, known))
    for word in map(str, words):
        if word not in there and (near := nearest_word(word, there)) is not None:
            raise ConfigurationError(f"{key}: there is no {word!r}; did you mean {near!r}?")


def require_near_lines(lines: Mapping[str, Iterable[str]], known: Iterable[str], key: str) -> None:
    """Refuse lines of a chart of which a row is mistyped (`require_near`).

    Args:
        lines: rows that each line joins, by its name.
        known: rows that there are.
        key: full key of the lines, for the message.

    Raises:
        ConfigurationError: names the line, the word and the one that is near.

    >>> require_near_lines({"MMR": ["mmr_3", "mrm_7"]}, ["mmr_3", "mmr_7"], "lines")
    Traceback (most recent call last):
    recsys.errors.ConfigurationError: lines.MMR: there is no 'mrm_7'; did you mean 'mmr_7'?
    """
    there = list(known)
    for name, rows in lines.items():
        require_near(rows, there, f"{key}.{name}")


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests the nearest known word or, if none is near, lists the known words.

    >>> suggestion("widht", ["heads", "width"])
    "did you mean 'width'?"
    >>> suggestion("x", ["heads", "width"])
    'known: heads, width'
    """
    words = sorted(set(known))
    match = nearest_word(word, words)
    if match is not None:
        return f"did you mean '{match}'?"
    more = ", …" if len(words) > MOST_LISTED else ""
    return f"known: {', '.join(words[:MOST_LISTED]) or 'none'}{more}"
