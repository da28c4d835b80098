"""A log of many rounds, streamed from Parquet: `python benchmarks/speed/replay_log.py [--rounds 100_000_000]`.

Prints how long importance weighting takes over it and the most memory that was held, then removes the log.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch

from recsys.replay.accumulate import Accumulation, accumulate
from recsys.replay.bootstrap import Bootstrap
from recsys.replay.closed_form import closed_form
from recsys.replay.importance import IPS, SNIPS
from recsys.replay.rounds import Rounds

FILE, ROW_GROUP = 4_000_000, 2**18
COLUMNS = ("reward", "propensity", "target")
ESTIMATORS = {"IPS": IPS(), "SNIPS": SNIPS()}


def main() -> None:
    """Write, stream, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100_000_000)
    parser.add_argument("--replicates", type=int, default=0, help="of a bootstrap; none if 0")
    parser.add_argument("--folder", type=Path, help="where the log is written while it is needed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        written = write(Path(folder), options.rounds)
        before, start, busy = peak(), time.perf_counter(), time.process_time()
        found = replay(Path(folder), options.rounds, Bootstrap(options.replicates) if options.replicates else None)
        took, busy = time.perf_counter() - start, time.process_time() - busy
    print(f"{found.rows:,} rounds, {written / 2**30:.2f} GiB of Parquet: {took:.1f} s, {busy:.1f} s of processor time")
    print(f"most memory held {peak():.0f} MiB, of which {before:.0f} MiB before the log was read")
    for name, estimator in ESTIMATORS.items():
        print(name, closed_form(estimator, found[name].sums), f"effective {found[name].weights.effective:,.0f}")


def write(folder: Path, rounds: int) -> int:
    """A log in files of four million rounds; how many bytes they take."""
    rng = np.random.default_rng(0)
    for start in range(0, rounds, FILE):
        rows = min(FILE, rounds - start)
        logging, target = rng.uniform(0.02, 0.5, (2, rows)).astype(np.float32)
        log = pl.DataFrame(
            {"reward": (rng.random(rows) < 0.05).astype(np.float32), "propensity": logging, "target": target}
        )
        log.write_parquet(folder / f"{start // FILE:05}.parquet", row_group_size=ROW_GROUP)
    return sum(file.stat().st_size for file in folder.iterdir())


def replay(folder: Path, rounds: int, bootstrap: Bootstrap | None) -> Accumulation:
    """Both estimators."""
    return accumulate(ESTIMATORS, batches(folder), bootstrap=bootstrap, total=rounds)


def batches(folder: Path) -> Iterator[Rounds]:
    """Row group by row group, in the order of the files."""
    for frame in pl.scan_parquet(folder / "*.parquet").select(COLUMNS).collect_batches(chunk_size=ROW_GROUP):
        reward, logging, target = (torch.from_numpy(frame[name].to_numpy(writable=True)) for name in COLUMNS)
        yield Rounds(torch.zeros(len(frame), dtype=torch.int64), reward, logging, target)


def peak() -> float:
    """The most memory this process has held so far, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
