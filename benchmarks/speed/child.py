"""What the preparation scripts share: measuring themselves."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def report(work: Callable[[Path], tuple[int, int, int]]) -> None:
    """Do the work on the folder named on the command line; print its time, memory and what it kept as JSON.

    Memory is the process's peak in MB, less what it held when its imports were done.
    """
    folder = Path(sys.argv[1])
    before = memory("VmRSS")
    wall, cpu = time.perf_counter(), time.process_time()
    kept = work(folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": memory("VmHWM") - before, "kept": kept}))


def memory(name: str) -> float:
    """MB the process holds (`VmRSS`) or held at most (`VmHWM`)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024 / 1e6
