"""Every former name in the table of CHANGELOG.md is refused by the real commands, with its name of today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from recsys.config.compose import compose
from recsys.config.validate import validate
from recsys.errors import ConfigurationError

TABLE = re.compile(r"^ *\| former \| today \|\n *\|---\|---\|\n((?: *\|.*\|\n)+)", re.MULTILINE)
TRAIN, BENCH = ["experiment=rere/movielens_100k"], ["policy=[checkpoint]", "policies.checkpoint.run=x"]


def rows() -> list[tuple[str, str]]:
    """A former name, and a key of the table's cell of today that belongs to it."""
    (table,) = TABLE.findall((Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8"))
    found = []
    for line in table.splitlines():
        former, today = (cell.strip() for cell in line.strip().strip("|").split("|"))
        prefix = "group " if former.startswith("group") else "train.sft." if "of a training" in former else ""
        suffix = "train.sft." if "of a training" in former else ""
        left, right = whole(former), whole(today.partition(" (")[0]) if "none" not in today else ["leave this key out"]
        right = right * len(left) if len(right) == 1 else right
        assert len(left) == len(right), line
        found += [(f"{prefix}{old}", f"{suffix}{new}") for old, new in zip(left, right, strict=True)]
    return found


def whole(cell: str) -> list[str]:
    """The names of a cell; one that begins with a point continues the one before."""
    names: list[str] = []
    for name in re.findall(r"`([^`]+)`", cell):
        names.append(f"{names[-1].rpartition('.')[0]}{name}" if name.startswith(".") else name)
    return names


def refusals(former: str) -> list[str]:
    """What the command that had the name says of it, to an override with and without a plus."""
    if former.startswith("group "):
        tried = [[f"+{former[6:]}@train.mine=rere"], [f"{former[6:]}@train.sft=rere"]]
    elif former.startswith("policy=["):
        tried = [[former]]
    else:
        key = former.replace("NAME", "report")
        if key.startswith("stage.") and key.endswith(".arms"):
            key += ".sft"
        tried = [[f"{key}=x"], [f"+{key}=x"]]
    name, given = ("bench", BENCH) if former.startswith(("policies.", "policy=")) else ("train", TRAIN)
    name, given = ("replay", ["policy=[uniform]"]) if former.startswith("policy.") else (name, given)
    told = []
    for one in tried:
        with pytest.raises(ConfigurationError) as caught:
            validate(compose([*given, *one], name))
        told.append(str(caught.value))
    return told


def test_the_table_is_read() -> None:
    assert len(rows()) >= 15


@pytest.mark.parametrize(("former", "today"), rows())
def test_a_former_name_is_refused_with_the_name_of_today(former: str, today: str) -> None:
    for told in refusals(former):
        assert today.removeprefix("policy=[").removesuffix("]") in told, told
