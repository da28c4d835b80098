"""The command on a log of many rounds: `python benchmarks/speed/replay_log.py [--rounds 100_000_000] [--users 0]`.

Prints how long `recsys replay` takes for one policy, checks and report included, and the most memory it holds, then
removes the log.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

FILE, ROW_GROUP = 4_000_000, 2**18


def main() -> None:
    """Write, replay, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100_000_000)
    parser.add_argument("--users", type=int, default=0, help="whose rounds they are, at random; 0: each stands alone")
    parser.add_argument("--actions", type=int, default=1_000)
    parser.add_argument("--folder", type=Path, help="where the log is written while it is needed")
    parser.add_argument("options", nargs="*", help="of the command, such as interval=bootstrap")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        log = Path(folder) / "log"
        written = write(log, options.rounds, options.users, options.actions)
        command = [sys.executable, "-m", "recsys.cli.main", "replay", "log=parquet", f"log.path={log}"]
        start = time.perf_counter()
        subprocess.run([*command, f"root={folder}/runs", *options.options], check=True)
        took = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{options.rounds:,} rounds of {options.users:,} users, {written / 2**30:.2f} GiB of Parquet")
    print(f"{took:.0f} s, {used.ru_utime:.0f} s of processor time, {used.ru_maxrss / 2**10:.0f} MiB at most")


def write(folder: Path, rounds: int, users: int, actions: int) -> int:
    """A log in files of four million rounds; how many bytes they take."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(actions, 5.0))
    for start in range(0, rounds, FILE):
        rows = min(FILE, rounds - start)
        action = rng.choice(actions, rows, p=shares)
        columns = {
            "request_id": np.arange(start, start + rows),
            "action": action,
            "reward": (rng.random(rows) < 0.02 + 0.1 * action / actions).astype(np.float32),
            "propensity": shares[action],
        }
        if users:
            columns["user_id"] = rng.integers(0, users, rows)
        pl.DataFrame(columns).write_parquet(folder / f"{start // FILE:05}.parquet", row_group_size=ROW_GROUP)
    return sum(file.stat().st_size for file in folder.iterdir())


if __name__ == "__main__":
    main()
