"""The pages of the guide: their Python runs, and their examples import from the top two levels of the package."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
PAGES = sorted(page.stem for page in GUIDE.glob("*.md"))
DEEP = {"extend", "train"}
"""Pages that still import from deeper levels."""
RUN_HERE = ["evaluation", "items", "policies"]
"""Pages whose blocks marked `python` need no run and no data; other pages have tests of their own."""
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
IMPORT = re.compile(r"^from (recsys[\w.]*) import (?:\(([^)]*)\)|(.*))$", re.MULTILINE)


def imports(page: str) -> list[tuple[str, str]]:
    """Package and name of every `from recsys… import …` in the blocks of a page."""
    text = "\n".join(block for _, block in BLOCK.findall((GUIDE / f"{page}.md").read_text(encoding="utf-8")))
    return [
        (package, name.strip())
        for package, wrapped, plain in IMPORT.findall(text)
        for name in (wrapped or plain).partition("#")[0].split(",")
        if name.strip()
    ]


@pytest.mark.parametrize("page", PAGES)
def test_imported_names_exist(page: str) -> None:
    assert [(package, name) for package, name in imports(page) if not hasattr(import_module(package), name)] == []


@pytest.mark.parametrize("page", sorted({*PAGES} - DEEP))
def test_examples_import_from_the_top_two_levels(page: str) -> None:
    assert [package for package, _ in imports(page) if package.count(".") > 1] == []


@pytest.mark.parametrize("page", RUN_HERE)
def test_python_runs_as_it_stands(page: str) -> None:
    names: dict[str, object] = {"__name__": page}
    blocks = [block for language, block in BLOCK.findall((GUIDE / f"{page}.md").read_text()) if language == "python"]
    assert blocks
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), names)
