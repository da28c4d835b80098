"""What the preparation scripts share: measuring themselves."""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path


def report(work: Callable[[Path], tuple[int, int, int]]) -> None:
    """Do the work on the folder named on the command line; print its time, memory and what it kept as JSON.

    Memory is the process's peak during the work less what it held before, in MB.
    """
    folder = Path(sys.argv[1])
    watch = Watch()
    wall, cpu = time.perf_counter(), time.process_time()
    kept = work(folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": watch.stop(), "kept": kept}))


class Watch:
    """The most memory the process holds while it lives, over what it held at first."""

    def __init__(self) -> None:
        self.start = self.most = resident()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self) -> None:
        """Fifty times a second."""
        while not self.over.wait(0.02):
            self.most = max(self.most, resident())

    def stop(self) -> float:
        """MB."""
        self.over.set()
        self.thread.join()
        return max(self.most, resident()) - self.start


def resident() -> float:
    """MB the process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
