"""Timing two or more ways to do the same work, turn by turn, and what comes out of it."""

from __future__ import annotations

import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """One run.

    Args:
        wall: seconds on the clock.
        cpu: seconds of processor time, all threads together; what a busy machine disturbs least.
    """

    wall: float
    cpu: float


@dataclass(frozen=True)
class Result:
    """One line of the table.

    Args:
        benchmark: what was timed.
        case: under which settings.
        value: the median.
        low: the least over the rounds.
        high: the greatest over the rounds.
        unit: of the three, `x` for ratios.
        goal: what was asked for; None where nothing was.
        at_least: whether the goal is reached from above.
        detail: medians of both sides, and what was checked.
    """

    benchmark: str
    case: str
    value: float
    low: float
    high: float
    unit: str
    goal: float | None
    at_least: bool
    detail: str

    @property
    def reached(self) -> bool | None:
        """Whether the median meets the goal; None where there is none."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal


def timed(call: Callable[[], object]) -> Timing:
    """One run of a call in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def alternate(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    measure: Callable[[Callable[[], object]], Timing] = timed,
    warm: bool = True,
) -> dict[str, list[Timing]]:
    """Run every side once a round, in the other order every second round, so that none is favoured.

    Args:
        sides: what to run, by name.
        rounds: how often, at least 1.
        measure: runs and times a call.
        warm: whether every side first runs once without being counted.
    """
    if warm:
        for call in sides.values():
            call()
    timings: dict[str, list[Timing]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            timings[name].append(measure(sides[name]))
    return timings


def compare(
    timings: Mapping[str, list[Timing]],
    peer: str,
    *,
    benchmark: str,
    case: str,
    goal: float | None,
    clock: str = "cpu",
    checked: str = "",
) -> Result:
    """How many times as long as `ours` the peer takes: the median and range of the rounds' ratios.

    Args:
        timings: of `alternate`, one side of which is `ours`.
        peer: name of the other side.
        benchmark: see `Result`.
        case: see `Result`.
        goal: the least ratio asked for; None where none was.
        clock: `cpu` or `wall`: which time the ratio is of; the other's ratio goes into the detail.
        checked: what was found equal before timing.
    """
    ratios = {
        kind: [
            getattr(theirs, kind) / getattr(own, kind)
            for own, theirs in zip(timings["ours"], timings[peer], strict=True)
        ]
        for kind in ("cpu", "wall")
    }
    other = "wall" if clock == "cpu" else "cpu"
    parts = [
        f"ours {seconds(timings['ours'], clock)}, {peer} {seconds(timings[peer], clock)} ({clock} time)",
        f"{statistics.median(ratios[other]):.1f}x in {other} time",
        *([checked] if checked else []),
    ]
    chosen = ratios[clock]
    median = statistics.median(chosen)
    return Result(benchmark, case, median, min(chosen), max(chosen), "x", goal, True, "; ".join(parts))


def seconds(timings: list[Timing], clock: str) -> str:
    """The median as text.

    >>> seconds([Timing(wall=2.0, cpu=0.5), Timing(wall=1.0, cpu=0.7)], "wall")
    '1.50 s'
    """
    median = statistics.median(getattr(timing, clock) for timing in timings)
    return f"{median:.2f} s" if median >= 1 else f"{1000 * median:.0f} ms"


def machine() -> str:
    """Processor, cores, memory, Python and torch in one line."""
    import torch

    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":")[1].strip() for line in facts.splitlines() if line.startswith("model name")]
    meminfo = Path("/proc/meminfo").read_text().split() if Path("/proc/meminfo").exists() else []
    memory = f", {int(meminfo[1]) / 2**20:.0f} GB" if meminfo else ""
    cores = f"{len(names)} x {names[0]}" if names else platform.processor()
    return f"{cores}{memory}; Python {platform.python_version()}, torch {torch.__version__}"


def commit() -> str:
    """The checkout's commit, with a plus where recsys or the benchmarks differ from it."""
    folder = Path(__file__).parents[2]

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "recsys", "benchmarks/speed")
    changed = [line for line in changed.splitlines() if not line.endswith("RESULTS.md")]
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
