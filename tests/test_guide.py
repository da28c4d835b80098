"""The pages of the guide: their Python runs, and their examples import from the top two levels of the package."""

from __future__ import annotations

import re
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "guide"
PAGES = sorted(page.stem for page in GUIDE.glob("*.md"))
RUN_HERE = ["evaluation", "items", "policies"]
"""Pages whose blocks marked `python` need no run and no data; other pages have tests of their own."""
INDEX = "index"
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


@pytest.mark.parametrize("page", PAGES)
def test_examples_import_from_the_top_two_levels(page: str) -> None:
    assert [package for package, _ in imports(page) if package.count(".") > 1] == []


@pytest.mark.parametrize("page", RUN_HERE)
def test_python_runs_as_it_stands(page: str) -> None:
    names: dict[str, object] = {"__name__": page}
    blocks = [block for language, block in BLOCK.findall((GUIDE / f"{page}.md").read_text()) if language == "python"]
    assert blocks
    for block in blocks:
        exec(compile(block, f"{page}.md", "exec"), names)


def chains() -> list[list[Path]]:
    """The rows of the table that leads from experiments to their losses, as files."""
    rows = [line for line in (GUIDE / f"{INDEX}.md").read_text().splitlines() if line.startswith("| [`")]
    found = [[(GUIDE / link).resolve() for link in re.findall(r"\]\(([^)]+)\)", row)] for row in rows]
    return [row for row in found if len(row) > 1]


@pytest.mark.parametrize("chain", chains(), ids=lambda chain: chain[0].stem)
def test_five_files_lead_to_the_loss_and_each_names_the_next(chain: list[Path]) -> None:
    conf = GUIDE.parents[1] / "conf"
    assert len(chain) == 5
    for file, following in pairwise(chain):
        text = file.read_text()
        if following.suffix == ".py":
            module = ".".join(following.relative_to(conf.parent).with_suffix("").parts)
            name = re.search(rf"^_target_: {re.escape(module)}\.(\w+)$", text, re.MULTILINE)
            assert name is not None and f" {name[1]}(" in following.read_text()
        else:
            group, option = following.parent.relative_to(conf).as_posix(), following.stem
            assert re.search(rf"^  - /{group}(/{option}|(@[\w.]+)?: {option})$", text, re.MULTILINE), following
