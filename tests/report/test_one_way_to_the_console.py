"""Text reaches the console through `recsys.report.console` and `recsys.report.progress` only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import recsys

PACKAGE = Path(recsys.__file__).parent
CONSOLE, PROGRESS = "report/console.py", "report/progress.py"
DRAWS = {
    CONSOLE: {"rich"},
    PROGRESS: {"rich"},
    "policies/evaluation.py": {"tqdm"},
    "training/terminal_progress.py": {"rich"},
}
"""Modules that import what draws on a console. `rich` in the last gives a column that holds no text."""

WRITERS = {"StreamHandler": "runs/run_log.py", "FileHandler": "runs/run_log.py", "print": CONSOLE}
"""What writes text, and the one module that calls it."""


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def named(node: ast.expr) -> str:
    """The last name of what is called."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def faults(tree: ast.AST, place: str) -> list[str]:
    """What a module does that could print text which was not made visible."""
    found = [
        f"imports {name}"
        for name in imported(tree)
        if (top := name.partition(".")[0]) in ("rich", "tqdm") and top not in DRAWS.get(place, ())
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = named(node.func)
            if place != WRITERS.get(name, place):
                found.append(f"line {node.lineno}: calls {name}")
            if name in ("print_exc", "print_exception", "print_stack", "dumpDocString"):
                found.append(f"line {node.lineno}: calls {name}")
            if name == "write" and ast.unparse(node.func).startswith("sys.std") and place != "runs/notices.py":
                found.append(f"line {node.lineno}: writes to a stream")
            if name == "RichProgressBar" or (place in DRAWS and not escapes(node)):
                found.append(f"line {node.lineno}: {ast.unparse(node)} takes text as it comes")
    return found


TEXTS = {"Text", "Table", "add_column", "add_row", "add_task", "tqdm"}
"""Calls that take text to be drawn."""


def escapes(call: ast.Call) -> bool:
    """Whether a call that draws gets text that `visible` made, a literal, or a table that `rich_table` made."""
    if named(call.func) not in TEXTS:
        return True
    given = [*call.args, *(one.value for one in call.keywords if one.arg in ("title", "caption", "header", "desc"))]
    if named(call.func) == "tqdm":
        given = given[1:]
    return all(
        isinstance(one, ast.Constant)
        or "visible(" in ast.unparse(one)
        or ast.unparse(one) in ("label", "*given")
        or (named(call.func) == "Text" and "shown" in ast.unparse(one))
        for one in given
    )


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_draws_text_past_the_console(path: Path) -> None:
    assert faults(ast.parse(path.read_text()), path.relative_to(PACKAGE).as_posix()) == []


@pytest.mark.parametrize(
    ("place", "source"),
    [
        ("cli/new.py", "from rich.table import Table"),
        ("cli/new.py", "import rich.console"),
        ("cli/new.py", "from tqdm import tqdm"),
        ("cli/new.py", "print(name)"),
        ("cli/new.py", "sys.stderr.write(name)"),
        ("cli/new.py", "logging.StreamHandler()"),
        ("cli/new.py", "traceback.print_exc()"),
        ("training/new.py", "RichProgressBar()"),
        (CONSOLE, "Text(name)"),
        (CONSOLE, "view.add_row(*row)"),
        (CONSOLE, "Table(title=title)"),
        (PROGRESS, "bar.add_task(name)"),
    ],
)
def test_a_module_that_does_is_found(place: str, source: str) -> None:
    assert faults(ast.parse(source), place)
