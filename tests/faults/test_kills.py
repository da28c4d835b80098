"""A run that is killed at any operation on files goes on to what an uninterrupted one leaves."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.runs import arguments, contents
from tests.tables import write_tables

pytestmark = pytest.mark.faults

OPERATIONS = {"replace": os, "fsync": os, "unlink": os, "mkdir": os, "link": os, "rmtree": shutil}
POINTS = 5
"""Kills at each kind of operation, evenly over those of a run."""
VOLATILE = (
    "fingerprint.json",
    "partial.json",
    "prepare/dataset.json",
    "bundle/semantic_ids.safetensors",
    "bundle/checksums.json",
)
"""Marks hold the checksum of the page, which says when it was written; the pointer to the data holds an absolute path;
safetensors has its metadata in any order."""


def run(command: list[str], kind: str | None, at: int, count: Path) -> None:
    """Run a command in this process; it is killed before its `at`-th operation of a kind, a file half written."""
    from recsys.cli.main import main

    counts = dict.fromkeys(OPERATIONS, 0)

    def counted(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*given: Any, **named: Any) -> Any:
            counts[name] += 1
            if name == kind and counts[name] == at:
                if name == "fsync" and os.path.isfile(f"/proc/self/fd/{given[0]}"):
                    path = os.readlink(f"/proc/self/fd/{given[0]}")
                    os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return work(*given, **named)

        return operate

    for name, module in OPERATIONS.items():
        setattr(module, name, counted(name, getattr(module, name)))
    code = main(command)
    count.write_text(" ".join(f"{name}={value}" for name, value in counts.items()))
    os._exit(code)


def process(
    command: list[str], folder: Path, kind: str | None = None, at: int = 0
) -> tuple[int | None, dict[str, int]]:
    """Exit code of the command in a process that has imported everything, and its operations by kind."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.runs", "recsys.runs.run", "recsys.training.train_stage"])
    child = context.Process(target=run, args=(command, kind, at, folder / "count"))
    child.start()
    child.join(120)
    text = (folder / "count").read_text() if (folder / "count").exists() else ""
    return child.exitcode, {name: int(value) for name, _, value in (one.partition("=") for one in text.split())}


def results(folder: Path) -> dict[str, str]:
    found = contents(folder / "run" / "stages") | contents(folder / "data")
    return {name: digest for name, digest in found.items() if not name.endswith(VOLATILE)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str, dict[str, int]]:
    """Results, metrics and the number of operations of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    write_tables(folder / "tables")
    code, counts = process(arguments(folder), folder)
    assert code == 0
    return results(folder), (folder / "run" / "metrics.json").read_text(), counts


@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_run_that_was_killed_goes_on(
    kind: str, whole: tuple[dict[str, str], str, dict[str, int]], tmp_path: Path
) -> None:
    expected, metrics, counts = whole
    many = counts[kind]
    points = sorted({1 + round(place * (many - 1) / max(1, POINTS - 1)) for place in range(POINTS)}) if many else []
    for at in points:
        folder = tmp_path / str(at)
        write_tables(folder / "tables")
        code, _ = process(arguments(folder), folder, kind, at)
        assert code == -signal.SIGKILL, (kind, at)
        code, _ = process(arguments(folder), folder)
        assert code == 0, (kind, at)
        found = results(folder)
        assert {name: found.get(name) for name in expected} == expected, (kind, at)
        assert (folder / "run" / "metrics.json").read_text() == metrics
        assert not [one for one in (folder / "run").rglob("*aside*")]
        shutil.rmtree(folder)
