"""Results as a table in the terminal and as a page in Markdown."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from harness import Result

COLUMNS = ("benchmark", "case", "measured", "range", "asked", "reached")


def cells(result: Result) -> tuple[str, ...]:
    """What each column says of a result."""
    sign = "≥" if result.at_least else "≤"
    return (
        result.benchmark,
        result.case,
        amount(result.value, result.unit),
        f"{amount(result.low, result.unit)} – {amount(result.high, result.unit)}",
        "" if result.goal is None else f"{sign} {result.goal:g} {result.unit}".replace(" x", "x"),
        {True: "yes", False: "no", None: ""}[result.reached],
    )


def amount(value: float, unit: str) -> str:
    """A number with its unit.

    >>> amount(12.345, "x"), amount(0.0456, "s")
    ('12.3x', '0.046 s')
    """
    return f"{value:.1f}x" if unit == "x" else f"{value:.3f} s" if unit == "s" else f"{value:.1f} {unit}"


def show(results: list[Result]) -> None:
    """Print the table."""
    table = Table(*COLUMNS, title="Speed against other libraries")
    for result in results:
        table.add_row(*cells(result), style="bold red" if result.reached is False else None)
    Console().print(table)


def page(results: list[Result], facts: dict[str, str]) -> str:
    """The page.

    Args:
        results: its rows.
        facts: machine, date, command, commit and what else a reader needs to run it again.
    """
    head = [f"- {name}: {value}" for name, value in facts.items()]
    rows = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    rows += ["| " + " | ".join(cells(result)) + " |" for result in results]
    details = [f"- **{result.benchmark}, {result.case}**: {result.detail}" for result in results]
    return "\n".join(["# Speed", "", INTRODUCTION, "", *head, "", *rows, "", *details, ""])


INTRODUCTION = """Ratios say how many times as long as recsys the peer takes for the same work in the same run, the \
sides taking turns; the median over the rounds and their range. What is equal on both sides was checked before timing. \
Written by `make bench-speed`."""
