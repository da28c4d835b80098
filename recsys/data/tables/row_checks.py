"""Rules for the rows of a table: refuse the first bad row, or exclude and count bad rows; find duplicates."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from recsys.errors import DataError

MAX_SHOWN_CHARACTERS = 80
"""The most characters of a value that an error message shows."""

FindRow = Callable[[pl.Expr, str], tuple[str, int, object]]
"""Function from a predicate and a column to the file, the row (from 0) and the value of the first row that matches."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowRule:
    """A condition that no row of a table may meet, and the message if one does.

    Args:
        column: the column that the message names and whose value it shows.
        broken: true for a bad row; null counts as false.
        text: the message: what was found, what was expected, what to do.
    """

    column: str
    broken: pl.Expr
    text: str

    @property
    def reason(self) -> str:
        """The part of the message that says what was found; counts of excluded rows are labelled with it.

        >>> RowRule("reward", pl.col("reward").is_nan(), "is no finite number, expected one. Drop it").reason
        'reward is no finite number'
        """
        return f"{self.column} {re.split(', |: |[.] ', self.text)[0]}"


def check_rows(frame: pl.LazyFrame, rules: Sequence[RowRule], find: FindRow) -> None:
    """Raise an error if some row breaks a rule. All rules are checked in one pass over the table.

    Args:
        frame: the table.
        rules: the rules, in order of precedence.
        find: function that locates the first row that breaks a rule.

    Raises:
        DataError: some row breaks a rule. The message is about the first rule that is broken and its first bad row.
    """
    facts = [rule.broken.any().alias(str(number)) for number, rule in enumerate(rules)]
    found = frame.select(facts).collect(engine="streaming").row(0)
    for rule, broken in zip(rules, found, strict=True):
        if broken:
            file, row, value = find(rule.broken, rule.column)
            shown = str(value.to_list() if isinstance(value, pl.Series) else value)
            shown = shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[:MAX_SHOWN_CHARACTERS]}…"
            raise DataError(f"{file}, row {row} (from 0), column {rule.column!r}: {shown} {rule.text}")


def exclude(frame: pl.LazyFrame, rules: Sequence[RowRule], where: str) -> tuple[pl.LazyFrame, dict[str, int]]:
    """Return the table without the rows that break a rule, and the number of excluded rows by reason.

    A row that breaks several rules counts for the first of them. The counts are also logged as a warning.

    Args:
        frame: the table.
        rules: the rules, in order of precedence.
        where: what the warning calls the table.

    >>> frame = pl.LazyFrame({"reward": [1.0, float("nan")]})
    >>> rest, counts = exclude(frame, [RowRule("reward", pl.col("reward").is_nan(), "is NaN")], "rewards")
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


def row_finder(frame: pl.LazyFrame, location: str) -> FindRow:
    """Return a function that finds rows of a frame that holds the rows of one file, in order.

    Args:
        frame: the rows of the file.
        location: the file.
    """

    def find(predicate: pl.Expr, column: str) -> tuple[str, int, object]:
        numbered = frame.with_row_index("__row").filter(predicate).select("__row", column).head(1).collect()
        return location, numbered.item(0, "__row"), numbered.item(0, column)

    return find


PROPENSITY_MESSAGE = "is no propensity, expected a probability in (0, 1] in every row. Write it, or drop the column"


def invalid_propensity(value: pl.Expr) -> pl.Expr:
    """Return an expression that is true unless the value is in (0, 1]. NaN and null are invalid."""
    return (~value.cast(pl.Float64).is_between(0, 1, closed="right")).fill_null(True)


def propensity_rules(columns: Sequence[str], size: pl.Expr) -> list[RowRule]:
    """Return the rules for those propensity columns that a table of slates has.

    Args:
        columns: names of the table's columns.
        size: number of slots of each row's slate.
    """
    rules = (
        [RowRule("propensity", invalid_propensity(pl.col("propensity")), PROPENSITY_MESSAGE)]
        if "propensity" in columns
        else []
    )
    for name in ("prefix_propensities", "slot_propensities"):
        if name in columns:
            length = pl.col(name).list.len().ne_missing(size)
            rules.append(RowRule(name, length, "has another length than its slate, expected one propensity a slot"))
            rules.append(
                RowRule(name, pl.col(name).list.eval(invalid_propensity(pl.element())).list.any(), PROPENSITY_MESSAGE)
            )
    return rules


def slate_rules(repeats: bool = False) -> list[RowRule]:
    """Return the rules for a column `slate`: at least one item, no null, and no item twice.

    Args:
        repeats: whether an item may occur twice.
    """
    slate = pl.col("slate").list
    size = slate.len()
    rules = [
        RowRule("slate", size == 0, "is an empty slate, expected at least one item. Drop the row"),
        RowRule("slate", slate.drop_nulls().list.len() != size, "holds a null, expected an id in every slot. Drop it"),
        RowRule(
            "slate",
            slate.n_unique() != size,
            "holds an item twice, expected each once. Keep one slot of it",
        ),
    ]
    return rules[:-1] if repeats else rules


KEYS_PER_PASS = 10_000_000
"""Number of rows whose keys are held in memory at once."""


def has_duplicates(frame: pl.LazyFrame, keys: Sequence[str], rows: int) -> bool:
    """Return whether two rows have the same values in all key columns.

    A table whose first key increases strictly is read once. Another table is read once for every `KEYS_PER_PASS` rows.

    Args:
        frame: the table, without nulls in the keys.
        keys: columns of ids.
        rows: number of rows of the table.

    >>> frame = pl.LazyFrame({"request_id": [2, 1, 2], "action": [7, 7, 8]})
    >>> has_duplicates(frame, ["request_id"], 3), has_duplicates(frame, ["request_id", "action"], 3)
    (True, False)
    """
    first = pl.col(keys[0])
    if frame.select((first > first.shift()).all()).collect(engine="streaming").item():
        return False
    count = 1 + rows // KEYS_PER_PASS
    for part in range(count):
        some = frame.select(keys).filter(pl.struct(keys).hash() % count == part)
        twice = some.group_by(keys).len().filter(pl.col("len") > 1).select(pl.len())
        if twice.collect(engine="streaming").item():
            return True
    return False
