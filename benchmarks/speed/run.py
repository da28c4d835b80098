"""Time the hot paths against other libraries: `python benchmarks/speed/run.py [--rounds 3] [--threads 1] [names]`."""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import sys
from pathlib import Path

import environment

BENCHMARKS = (
    "beam_search",
    "grpo",
    "supervised",
    "preparation",
    "trie_index",
    "simulators",
    "thompson",
    "shortlist",
    "slate_training",
    "replay",
    "mixture_of_experts",
    "sessions",
    "alignment",
    "novelty",
)
HERE = Path(__file__).parent


def main() -> None:
    """Run the named benchmarks, print the table and write `RESULTS.md` when all were run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="names", help=f"some of {', '.join(BENCHMARKS)}; all if none")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--threads", type=int, default=1, help="threads of each side's arithmetic")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    environment.enter()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    measure(options.names or list(BENCHMARKS), options.rounds, options.threads)


def measure(names: list[str], rounds: int, threads: int) -> None:
    """See `main`."""
    import torch

    import harness
    import table

    torch.set_num_threads(threads)
    results = []
    for name in names:
        print(f"{name} …", flush=True)
        results += importlib.import_module(name).run(rounds)
        table.show(results)
    facts = {
        "machine": harness.machine(),
        "date": datetime.date.today().isoformat(),
        "command": " ".join(["python benchmarks/speed/run.py", *sys.argv[1:]]),
        "commit": harness.commit(),
        "rounds": str(rounds),
        "threads": f"{threads} for tensors, 2 for tables",
    }
    if len(names) == len(BENCHMARKS):
        (HERE / "RESULTS.md").write_text(table.page(results, facts))


if __name__ == "__main__":
    main()
