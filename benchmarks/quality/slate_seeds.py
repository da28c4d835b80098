"""Several runs of a slate experiment, a world or a training seed each, as one table.

python benchmarks/quality/slate_seeds.py RUN_FOLDER... [--against gamma_flat --against all_item] [--write FILE]

Means over the runs with 95 % intervals of Student's distribution over the runs: each run has a world, users and clicks
of its own. Differences are of the row `gamma` to the rows named, run by run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.markdown import Markdown

from recsys.bench.metrics import student_quantile

METRICS = {
    "answer": "log_likelihood",
    "click": "click_log_likelihood",
    "click, rare": "click_log_likelihood/rare",
    "click, search": "click_log_likelihood/search",
    "click, recommendation": "click_log_likelihood/recommendation",
    "calibration error": "calibration_error",
    "click held": "covered/click",
    "distance held": "covered/distance",
    "no click held": "covered/no_click",
    "γ": "gamma",
}

Runs = Sequence[dict[str, dict[str, dict[str, float]]]]


def interval(values: Sequence[float], sign: str = "") -> str:
    """Mean and 95 % interval over runs.

    >>> interval([1.0, 2.0, 3.0])
    '2.000 [-0.484, 4.484]'
    """
    found = torch.tensor(values, dtype=torch.float64)
    if len(found) < 2:
        return f"{float(found.mean()):{sign}.3f}"
    mean, half = float(found.mean()), student_quantile(len(found) - 1) * float(found.std()) / len(found) ** 0.5
    return f"{mean:{sign}.3f} [{mean - half:{sign}.3f}, {mean + half:{sign}.3f}]"


def rows_table(runs: Runs) -> str:
    """Every row's metrics."""
    shown = {name: metric for name, metric in METRICS.items() if any(metric in cells for cells in runs[0].values())}
    lines = [["", *shown], ["---"] * (len(shown) + 1)]
    for row in runs[0]:
        lines.append([row, *(_cell(runs, row, metric) for metric in shown.values())])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def differences_table(runs: Runs, ours: str, others: Sequence[str]) -> str:
    """How much better `ours` is, run by run."""
    shown = {name: metric for name, metric in METRICS.items() if "log_likelihood" in metric}
    lines = [[f"{ours} minus", *shown], ["---"] * (len(shown) + 1)]
    for other in others:
        cells = []
        for metric in shown.values():
            known = [run for run in runs if metric in run[ours] and metric in run[other]]
            differences = [run[ours][metric]["value"] - run[other][metric]["value"] for run in known]
            cells.append(interval(differences, "+") if differences else "")
        lines.append([other, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(runs: Runs, row: str, metric: str) -> str:
    values = [run[row][metric]["value"] for run in runs if metric in run[row]]
    return interval(values) if values else ""


def main() -> None:
    """Print both tables; with `--write`, keep them with the commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--against", action="append", default=None)
    parser.add_argument("--ours", default="gamma")
    parser.add_argument("--title", default="slate/simulated")
    parser.add_argument("--override", action="append", default=[], help="of the runs, told beside the table")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    runs = [json.loads((run / "metrics.json").read_text()) for run in given.runs]
    others = given.against or [row for row in runs[0] if row != given.ours]
    text = f"{rows_table(runs)}\n\n{differences_table(runs, given.ours, others)}"
    Console(width=240).print(Markdown(text))
    if given.write:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        command = " ".join([f"recsys train experiment={given.title}", *given.override])
        told = "Nats a held-out slate; means over runs with 95 % intervals over runs."
        made_by = f"{len(runs)} runs of `{command}`, commit {commit.stdout.strip()}."
        given.write.write_text(f"# {given.title}\n\n{made_by} {told}\n\n{text}\n")


if __name__ == "__main__":
    main()
