"""Draw cards that show a user's history and the items that are recommended next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from recsys.report.formats import percent
from recsys.report.markup import Markup, element, join


@dataclass(frozen=True)
class Suggestion:
    """A recommended item.

    Args:
        title: title of the item.
        probability: probability of the item, in [0, 1].
        hit: whether the item is the next one in the log.
    """

    title: str
    probability: float
    hit: bool = False


@dataclass(frozen=True)
class Card:
    """One request and its recommendations.

    Args:
        name: name of the user.
        history: titles of the latest items of the user, oldest first.
        suggestions: recommended items, most probable first.
        target: title of the next item in the log; None if it is unknown.
        earlier: number of items before those in `history`.
    """

    name: str
    history: Sequence[str]
    suggestions: Sequence[Suggestion]
    target: str | None = None
    earlier: int = 0


def card_grid(cards: Sequence[Card], verb: str = "had") -> Markup:
    """Return the cards side by side, as many in a row as fit.

    Args:
        cards: the cards, from left to right.
        verb: past tense of what users do with items, such as `watched` or `bought`.
    """
    return element("div", *(_card(card, verb) for card in cards), class_="cards")


def _card(card: Card, verb: str) -> Markup:
    before = [element("li", f"{card.earlier} earlier", class_="earlier")] if card.earlier else []
    history = element("ol", *before, *(element("li", title) for title in card.history), class_="history")
    largest = max((one.probability for one in card.suggestions), default=1.0) or 1.0
    answers = element("ol", *(_suggestion(one, largest, verb) for one in card.suggestions), class_="suggestions")
    return element(
        "article",
        element("h3", card.name),
        element("h4", verb),
        history,
        element("h4", "generated"),
        answers,
        _truth(card, verb),
        class_="card",
    )


def _suggestion(one: Suggestion, largest: float, verb: str) -> Markup:
    bar = element("span", class_="bar", style=f"--share:{one.probability / largest:.3f}", aria_hidden="true")
    mark = element("span", f"{verb} next", class_="mark") if one.hit else Markup()
    return element(
        "li",
        element("span", join(one.title, mark), class_="title"),
        element("span", percent(one.probability), class_="probability"),
        bar,
        class_="hit" if one.hit else None,
    )


def _truth(card: Card, verb: str) -> Markup:
    if card.target is None or any(one.hit for one in card.suggestions):
        return Markup()
    return element("p", f"{verb} next: ", element("b", card.target), class_="note")
