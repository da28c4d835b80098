"""What the pages say exists: links and anchors, files that code points to, overrides that a run would accept."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recsys.config.compose import compose
from recsys.config.validate import validate

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "data" / "README.md"])
SOURCES = sorted(
    path
    for folder in ("recsys", "conf", "tests")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".yaml")
)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")
PAGE = re.compile(r"([\w./-]*\w\.md)(?:#([\w-]+))?")
COMMAND = re.compile(r"^(?:\.venv/bin/)?recsys train (experiment=.*)$", re.MULTILINE)
OVERRIDES = re.compile(r"^\| override \|.*\n\|[-| ]*\n((?:\|.*\n)+)", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, anchor: str) -> bool:
    return not page.exists() or (bool(anchor) and anchor not in anchors(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(FENCED.sub("", page.read_text()))
    assert [link for link in links if broken((page.parent / link[0]) if link[0] else page, link[1])] == []


def test_code_points_to_pages_of_the_repository() -> None:
    missing = [
        f"{path.relative_to(ROOT)}: {name}#{anchor}"
        for path in SOURCES
        for name, anchor in PAGE.findall(path.read_text())
        if broken(ROOT / name, anchor)
    ]
    assert missing == []


def told() -> Iterator[str]:
    """Arguments of every `recsys train` line of the pages."""
    for page in PAGES:
        for line in COMMAND.findall(page.read_text()):
            yield line.partition(" #")[0].replace("FOLDER", "data").strip()


@pytest.mark.parametrize("line", sorted(set(told())))
def test_commands_on_the_pages_are_accepted(line: str) -> None:
    validate(compose([one for one in shlex.split(line) if not one.startswith("--")]))


@pytest.mark.parametrize("page", ["train", "evaluation", "items"])
def test_overrides_in_the_tables_are_accepted(page: str) -> None:
    (rows,) = OVERRIDES.findall((ROOT / "docs" / "guide" / f"{page}.md").read_text())
    named = [one for row in rows.splitlines() for one in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    given = [one for one in named if "=" in one or one.startswith("~")]
    config = compose(["experiment=rere/movielens_100k", *given])
    validate(config)
    assert [one for one in named if one not in given and OmegaConf.select(config, one) is None] == []
