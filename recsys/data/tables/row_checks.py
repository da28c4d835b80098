"""Checks of a table's rows: a row at fault is refused with its place, or excluded and counted; duplicates are found."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from recsys.errors import DataError

MAX_SHOWN_CHARACTERS = 80
"""Characters of a value that an error message shows."""

FindRow = Callable[[pl.Expr, str], tuple[str, int, object]]
"""Predicate and column → file, row (from 0) and value of the first row that fulfils it."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowRule:
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

        >>> RowRule("reward", pl.col("reward").is_nan(), "is no finite number, expected one in every row").reason
        'reward is no finite number'
        """
        return f"{self.column} {self.text.split(',')[0].split(':')[0]}"


def check_rows(frame: pl.LazyFrame, rules: Sequence[RowRule], find: FindRow) -> None:
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
            shown = shown if len(shown) <= MAX_SHOWN_CHARACTERS else f"{shown[:MAX_SHOWN_CHARACTERS]}…"
            raise DataError(f"{file}, row {row} (from 0), column {rule.column!r}: {shown} {rule.text}")


def exclude(frame: pl.LazyFrame, rules: Sequence[RowRule], where: str) -> tuple[pl.LazyFrame, dict[str, int]]:
    """A table without the rows that break a rule, and how many rows broke which; it says so in the log.

    A row that breaks several is counted for the first of them.

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
    """Rows of a frame whose rows are those of one file."""

    def find(predicate: pl.Expr, column: str) -> tuple[str, int, object]:
        """See `FindRow`."""
        numbered = frame.with_row_index("__row").filter(predicate).select("__row", column).head(1).collect()
        return location, numbered.item(0, "__row"), numbered.item(0, column)

    return find


PROPENSITY_MESSAGE = "is no propensity, expected a probability in (0, 1] in every row: write it, or drop the column"


def invalid_propensity(value: pl.Expr) -> pl.Expr:
    """True where a number is not in (0, 1], NaN and null included."""
    return (~value.cast(pl.Float64).is_between(0, 1, closed="right")).fill_null(True)


def propensity_rules(columns: Sequence[str], size: pl.Expr) -> list[RowRule]:
    """Of whichever columns of propensities a table of slates has.

    Args:
        columns: of the table.
        size: slots of each row's slate.
    """
    rules = (
        [RowRule("propensity", invalid_propensity(pl.col("propensity")), PROPENSITY_MESSAGE)]
        if "propensity" in columns
        else []
    )
    for name in ("prefix_propensities", "slot_propensities"):
        if name in columns:
            length = pl.col(name).list.len().ne_missing(size)
            rules.append(RowRule(name, length, "has not one propensity for each slot of its slate"))
            rules.append(
                RowRule(name, pl.col(name).list.eval(invalid_propensity(pl.element())).list.any(), PROPENSITY_MESSAGE)
            )
    return rules


def slate_rules(repeats: bool = False) -> list[RowRule]:
    """Of a column `slate`: it holds at least one item, none null, and each once unless repeats are allowed."""
    slate = pl.col("slate").list
    size = slate.len()
    rules = [
        RowRule("slate", size == 0, "is an empty slate, expected at least one item: drop the row"),
        RowRule("slate", slate.drop_nulls().list.len() != size, "holds a null, expected an id in every slot: drop it"),
        RowRule(
            "slate", slate.n_unique() != size, "holds an item twice: keep one slot for it and mend the other columns"
        ),
    ]
    return rules[:-1] if repeats else rules


KEYS_PER_PASS = 10_000_000
"""Rows whose keys are held at once."""


def has_duplicates(frame: pl.LazyFrame, keys: Sequence[str], rows: int) -> bool:
    """Whether some values of the keys come twice together.

    A table that stands by rising first key is read once; another as often as it has `KEYS_PER_PASS` rows.

    Args:
        frame: the table, without nulls in the keys.
        keys: columns of ids.
        rows: how many the table has.

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
