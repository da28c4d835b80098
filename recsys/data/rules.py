"""What no row of a table may be: found in one pass, refused with file and row, or left out and counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from recsys.errors import DataError

LONGEST = 80
"""Characters of a value that an error message shows."""

Find = Callable[[pl.Expr, str], tuple[str, int, object]]
"""Predicate and column → file, row (from 0) and value of the first row that fulfils it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rule:
    """Something that no row may be.

    Args:
        column: the column at fault.
        broken: true where a row is at fault; null counts as false.
        text: what was found, what was expected, what to do.
    """

    column: str
    broken: pl.Expr
    text: str

    @property
    def reason(self) -> str:
        """What was found, as counts of excluded rows are named.

        >>> Rule("reward", pl.col("reward").is_nan(), "is no finite number, expected one in every row").reason
        'reward is no finite number'
        """
        return f"{self.column} {self.text.split(',')[0].split(':')[0]}"


def check(frame: pl.LazyFrame, rules: Sequence[Rule], find: Find) -> None:
    """Refuse a table of which some row breaks a rule, in one pass over it.

    Args:
        frame: the table.
        rules: looked at in this order.
        find: where the first row at fault stands.

    Raises:
        DataError: at the first rule that some row breaks.
    """
    facts = [rule.broken.any().alias(str(number)) for number, rule in enumerate(rules)]
    found = frame.select(facts).collect(engine="streaming").row(0)
    for rule, broken in zip(rules, found, strict=True):
        if broken:
            file, row, value = find(rule.broken, rule.column)
            shown = str(value.to_list() if isinstance(value, pl.Series) else value)
            shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
            raise DataError(f"{file}, row {row} (from 0), column {rule.column!r}: {shown} {rule.text}")


def exclude(frame: pl.LazyFrame, rules: Sequence[Rule], where: str) -> tuple[pl.LazyFrame, dict[str, int]]:
    """A table without the rows that break a rule, and how many rows broke which; it says so in the log.

    A row that breaks several is counted for the first of them.

    >>> frame = pl.LazyFrame({"reward": [1.0, float("nan")]})
    >>> rest, counts = exclude(frame, [Rule("reward", pl.col("reward").is_nan(), "is NaN")], "rewards")
    >>> rest.collect().rows(), counts
    ([(1.0,)], {'reward is NaN': 1})
    """
    first = pl.lit(len(rules))
    for number, rule in reversed(list(enumerate(rules))):
        first = pl.when(rule.broken).then(number).otherwise(first)
    rows = frame.select(first.alias("rule")).group_by("rule").len().collect(engine="streaming")
    counts: dict[str, int] = {}
    for number, count in sorted(rows.iter_rows()):
        if number < len(rules):
            counts[rules[number].reason] = counts.get(rules[number].reason, 0) + count
    if not counts:
        return frame, counts
    told = ", ".join(f"{count:,} ({reason})" for reason, count in counts.items())
    logger.warning("%s: excluded %s row(s): %s", where, f"{sum(counts.values()):,}", told)
    return frame.filter(first == len(rules)), counts


def finder(frame: pl.LazyFrame, location: str) -> Find:
    """Rows of a frame whose rows are those of one file."""

    def find(predicate: pl.Expr, column: str) -> tuple[str, int, object]:
        """See `Find`."""
        numbered = frame.with_row_index("__row").filter(predicate).select("__row", column).head(1).collect()
        return location, numbered.item(0, "__row"), numbered.item(0, column)

    return find


PROBABILITY = "is no propensity, expected a probability in (0, 1] in every row: write it, or drop the column"


def no_propensity(value: pl.Expr) -> pl.Expr:
    """True where a number is not in (0, 1], NaN and null included."""
    return (~value.cast(pl.Float64).is_between(0, 1, closed="right")).fill_null(True)


def propensity_rules(columns: Sequence[str], size: pl.Expr) -> list[Rule]:
    """Of whichever columns of propensities a table of slates has.

    Args:
        columns: of the table.
        size: slots of each row's slate.
    """
    rules = [Rule("propensity", no_propensity(pl.col("propensity")), PROBABILITY)] if "propensity" in columns else []
    for name in ("prefix_propensities", "slot_propensities"):
        if name in columns:
            length = pl.col(name).list.len().ne_missing(size)
            rules.append(Rule(name, length, "has not one propensity for each slot of its slate"))
            rules.append(Rule(name, pl.col(name).list.eval(no_propensity(pl.element())).list.any(), PROBABILITY))
    return rules


def slate_rules(repeats: bool = False) -> list[Rule]:
    """Of a column `slate`: it holds at least one item, none null, and each once unless repeats are allowed."""
    slate = pl.col("slate").list
    size = slate.len()
    rules = [
        Rule("slate", size == 0, "is an empty slate, expected at least one item: drop the row"),
        Rule("slate", slate.drop_nulls().list.len() != size, "holds a null, expected an id in every slot: drop it"),
        Rule("slate", slate.n_unique() != size, "holds an item twice: keep one slot for it and mend the other columns"),
    ]
    return rules[:-1] if repeats else rules
