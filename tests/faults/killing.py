"""Run a command in a process of its own that is killed at the n-th operation of a kind on files."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.in_process import HerePool

OPERATIONS = {"replace": os, "fsync": os, "unlink": os, "mkdir": os, "link": os, "rmtree": shutil}


def points(many: int, count: int) -> list[int]:
    """`count` of the numbers `1 .. many`, evenly, the first and the last among them; fewer where there are fewer."""
    return sorted({1 + round(place * (many - 1) / max(1, count - 1)) for place in range(count)}) if many else []


def run(command: list[str], kind: str | None, at: int, count: Path, environment: dict[str, str]) -> None:
    """Run a command in this process; it is killed before its `at`-th operation of a kind, a file half written."""
    os.environ.update(environment)
    from recsys.bench import grid
    from recsys.cli.main import main

    grid.ProcessPoolExecutor = HerePool  # so that what a bench plays is killed too
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
    child = started(command, folder, kind, at)
    child.join(120)
    text = (folder / "count").read_text() if (folder / "count").exists() else ""
    return child.exitcode, {name: int(value) for name, _, value in (one.partition("=") for one in text.split())}


def started(command: list[str], folder: Path, kind: str | None = None, at: int = 0) -> ForkServerProcess:
    """The process of a command, which has imported everything."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.faults.runs", "recsys.runs.run", "recsys.training.train_stage", "recsys.bench"]
    )
    child = context.Process(target=run, args=(command, kind, at, folder / "count", dict(os.environ)))
    child.start()
    return child
