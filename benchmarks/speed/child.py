"""What the preparation scripts share: measuring themselves."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path


def report(work: Callable[[Path], tuple[int, int, int]]) -> None:
    """Do the work on the folder named on the command line; print its time, memory and what it kept as JSON.

    Memory is the process's peak in MB, less what it held when its imports were done.
    """
    folder = Path(sys.argv[1])
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    wall, cpu = time.perf_counter(), time.process_time()
    kept = work(folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": (most - pages * resource.getpagesize()) / 1e6, "kept": kept}))
