"""A command that is killed at any operation on files, and given again, leaves what an uninterrupted one leaves."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.commands import COMMANDS
from tests.faults.killing import OPERATIONS, points, process

pytestmark = pytest.mark.faults

POINTS = 2
"""Kills at each kind of operation: the first and the last of a run."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_was_killed_goes_on(name: str, tmp_path: Path) -> None:
    """The folder has one name in all runs, since configurations hold it."""
    command, folder = COMMANDS[name], tmp_path / "folder"

    def begin() -> list[str]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return command.begin(folder)

    code, counts = process(begin(), folder)
    assert code == 0
    expected = command.results(folder)
    assert len(expected) >= 4 and sum(counts.values()) > 50
    for kind in command.operations or OPERATIONS:
        for at in points(counts[kind], POINTS):
            given = begin()
            code, _ = process(given, folder, kind, at)
            assert code == -signal.SIGKILL, (kind, at)
            code, _ = process(given, folder)
            assert code == 0, (kind, at)
            assert command.results(folder) == expected, (kind, at)
