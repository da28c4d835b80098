from __future__ import annotations

from recsys.report.cards import Card, Suggestion, card_grid


def words(one) -> str:
    return "".join(one.itertext())


def test_history_then_what_was_generated(parsed, by_class):
    card = Card("User 196", ["Kolya", "L.A. <Confidential>"], [Suggestion("Titanic", 0.4), Suggestion("Evita", 0.1)])
    tree = parsed(card_grid([card], verb="watched"))
    assert [words(one) for one in by_class(tree, "history")[0]] == ["Kolya", "L.A. <Confidential>"]
    assert [words(one) for one in by_class(tree, "suggestions")[0]] == ["Titanic40.0 %", "Evita10.0 %"]
    assert [words(one) for one in tree.iter("h4")] == ["watched", "generated"]
    assert not by_class(tree, "note")


def test_bars_are_shares_of_the_most_probable(parsed, by_class):
    tree = parsed(card_grid([Card("u", [], [Suggestion("a", 0.2), Suggestion("b", 0.05)])]))
    assert [one.get("style") for one in by_class(tree, "bar")] == ["--share:1.000", "--share:0.250"]


def test_a_hit_is_marked_and_a_miss_names_what_came(parsed, by_class):
    hit = Card("u", ["x"], [Suggestion("a", 0.2, hit=True), Suggestion("b", 0.1)], target="a")
    miss = Card("u", ["x"], [Suggestion("b", 0.1)], target="a", earlier=3)
    tree = parsed(card_grid([hit, miss], verb="bought"))
    first, second = by_class(tree, "card")
    assert [words(one) for one in by_class(first, "mark")] == ["bought next"]
    assert not by_class(first, "note")
    assert words(by_class(second, "note")[0]) == "bought next: a"
    assert words(by_class(second, "history")[0][0]) == "3 earlier"


def test_probabilities_of_zero_do_not_divide(parsed, by_class):
    tree = parsed(card_grid([Card("u", [], [Suggestion("a", 0.0)]), Card("v", [], [])]))
    assert [one.get("style") for one in by_class(tree, "bar")] == ["--share:0.000"]
