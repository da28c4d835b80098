"""What the page on replay says is accepted, and runs; what it leaves to `recsys replay --help` says what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder, job_folder
from recsys.config.validate import validate
from recsys.replay.result import ReplayResult

PAGE = (Path(__file__).parents[2] / "docs/guide/replay.md").read_text()
COMMANDS = re.findall(r"^recsys replay (.+)$", PAGE, re.MULTILINE)
ROWS = re.findall(r"^\| `([\w.]+)` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
CONF = job_folder(configuration_folder(), "replay")
GROUPS = {name: values for name, _, values in ROWS if (CONF / name).is_dir()}
KEYS = {name: default.strip("`") for name, default, _ in ROWS if name not in GROUPS}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_accepted(command: str) -> None:
    validate(compose(command.replace("FILE", "log.parquet").split(), "replay"))


def test_every_group_is_on_the_page() -> None:
    assert set(GROUPS) == {path.name for path in CONF.iterdir() if path.is_dir()}


@pytest.mark.parametrize("group", GROUPS)
def test_the_options_on_the_page_are_there(group: str) -> None:
    """The page sorts those of the package by what they are for; the help lists them all, also those added later."""
    named = set(re.findall(r"`(\w+)`", GROUPS[group]))
    assert named and named <= {path.stem for path in (CONF / group).glob("*.yaml")}
    assert "`recsys replay --help`" in PAGE


@pytest.mark.parametrize("path", sorted(CONF.glob("*/*.yaml")), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_file_of_an_option_begins_with_a_line_that_says_what_it_is(path: Path) -> None:
    package, *rest = path.read_text().splitlines()
    assert re.fullmatch(r"# \S.{11,}", rest[0] if package.startswith("# @package") else package)


@pytest.mark.parametrize("key", KEYS)
def test_defaults_of_keys_are_those_of_the_page(key: str) -> None:
    config = compose(["log=parquet", "log.path=x"], "replay")
    assert str(OmegaConf.select(config, key)).lower().replace("none", "null") == KEYS[key]


def test_the_python_of_the_page_runs_and_prints_what_the_page_shows(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```(?:\s*```text\n(.*?)```)?", PAGE, re.DOTALL)
    space: dict[str, object] = {}
    for code, shown in blocks:
        exec(compile(code, "<page>", "exec"), space)
        printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
        assert printed == shown.splitlines()
    result = space["result"]
    assert isinstance(result, ReplayResult)
    assert result.estimate("uniform", "dr").value == pytest.approx(1 / 3, abs=1e-3)
