"""The README's lines run: its Python as it stands, its commands as far as they can without a network or hours."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from recsys.cli.main import COMMANDS
from recsys.config.compose import compose
from recsys.config.validate import validate

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = BLOCK.findall(TEXT)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if language in ("", "bash", "sh")]
PRINTED = [text for language, text in BLOCKS if language == "text"]
INLINE = re.findall(r"(?<!`)`((?:\.venv/bin/)?(?:recsys|make) [^`]+)`", BLOCK.sub("", TEXT))
LINES = [*(line for text in SHELL for line in text.splitlines() if line.strip()), *INLINE]
TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_block_is_looked_at() -> None:
    assert PYTHON and LINES
    assert len(PYTHON) + len(SHELL) + len(PRINTED) == len(BLOCKS), "a block in a language that nothing here runs"


@pytest.mark.parametrize(
    ("first_line", "rows"),
    [
        (
            r"\w+: [\d,]+ requests, full catalogue, seen items (excluded|included)",
            {"popularity", "sft", "rere", "mixture"},
        ),
        (r"\w+, evaluated on the log \w+, whose policy has value .*", {"ips", "snips", "clipped"}),
        (r"\w+: means a user and session, 95 % intervals", {"random", "oracle"}),
    ],
)
def test_what_is_said_to_be_printed_has_the_form_of_what_is_printed(first_line: str, rows: set[str]) -> None:
    """The titles of `recsys train`, `replay` and `bench`, and a row a policy or an estimator."""
    [text] = [text for text in PRINTED if re.fullmatch(first_line, text.splitlines()[0])]
    assert rows <= {row.split()[0] for row in text.splitlines()[1:] if row.strip()}


@pytest.mark.parametrize("line", LINES)
def test_a_command_is_one_that_exists(line: str) -> None:
    program, *arguments = shlex.split(line, comments=True)
    if program == "make":
        assert set(arguments) <= TARGETS
        return
    assert program.removeprefix(".venv/bin/") == "recsys"
    command, *overrides = arguments
    assert command in COMMANDS
    if command in ("train", "bench", "replay", "recommend"):
        config = compose([one for one in overrides if not one.startswith("--")], command)
        if command != "recommend":
            validate(config)
    else:
        assert overrides == []


def test_python_runs_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One block goes on from another; what they write lies in their own temporary folder or here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    names: dict[str, object] = {"__name__": "readme"}
    for text in PYTHON:
        exec(compile(text, "README.md", "exec"), names)
    assert capsys.readouterr().out.strip()
