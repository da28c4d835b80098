"""What the page on replay says is accepted and runs."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from recsys.config.compose import compose
from recsys.config.validate import validate

PAGE = (Path(__file__).parents[2] / "docs/guide/replay.md").read_text()
COMMANDS = re.findall(r"^recsys replay (.+)$", PAGE, re.MULTILINE)
OPTIONS = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_accepted(command: str) -> None:
    validate(compose(command.replace("FILE", "log.parquet").split(), "replay"))


@pytest.mark.parametrize(("group", "listed"), [(name, said) for name, _, said in OPTIONS if "." not in name])
def test_options_of_groups_are_there(group: str, listed: str) -> None:
    named = re.findall(r"`(\w+)`", listed)
    assert named
    for one in named:
        compose([f"{group}={one}"], "replay")


def test_values_of_keys_are_there() -> None:
    config = compose(["log=parquet", "log.path=x"], "replay")
    for name, default, _ in OPTIONS:
        if "." in name and name != "log.logging":
            value = default.strip("`")
            assert str(config.log[name.partition(".")[2]]).lower().replace("none", "null") == value, name


def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    space: dict[str, object] = {}
    exec(compile(code, "<page>", "exec"), space)
    table = space["table"]
    assert isinstance(table, pl.DataFrame)
    assert table["value"].to_list() == pytest.approx([1 / 3, 1 / 3])
    assert "estimator" in capsys.readouterr().out
