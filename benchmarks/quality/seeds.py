"""Several runs of one experiment, a training seed each, as one table.

python benchmarks/quality/seeds.py RUN_FOLDER... [--reference sft --reference sft_continued] [--write FILE]

Differences are to the rows that the runs' configuration names (`evaluation.references`), or to those given.

Means over seeds and users. Intervals: 95 % bootstrap over users for the seeds given; differences are paired by user and
seed. Reads `metrics.parquet` and `metrics.json` of each run; runs of one seed are joined; later rows stand. A row that
not every seed has is named below the table, not in it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import torch
from omegaconf import OmegaConf
from rich.console import Console
from rich.markdown import Markdown
from torch import Tensor

from recsys.errors import DataError
from recsys.metrics.intervals import Interval
from recsys.metrics.results import Values, summarise
from recsys.runs.run_folder import RunFolder

DEPTHS = ["hr@1", "hr@5", "hr@10", "hr@20", "hr@50", "ndcg@5", "ndcg@20", "ndcg@50"]


def read(runs: Sequence[Path]) -> tuple[dict[str, Values], Tensor, list[str]]:
    """`[seeds, users]` of every row and metric, an index of the users, and the rows that not every seed has.

    Raises:
        DataError: two runs do not have the same users.
    """
    frame = pl.concat([pl.read_parquet(run / "metrics.parquet") for run in runs])
    frame = frame.unique(["user_id", "row", "metric", "seed"], keep="last")
    seeds = pl.col("seed").n_unique()
    partial = frame.group_by("row").agg(seeds).filter(pl.col("seed") < frame.select(seeds).item())
    frame = frame.join(partial, on="row", how="anti")
    wide = frame.sort("seed", "user_id").group_by("row", "metric", "seed", maintain_order=True).agg("user_id", "value")
    users = wide["user_id"].to_list()
    if any(other != users[0] for other in users):
        raise DataError("the runs do not have the same users: give runs of one experiment")
    rows: dict[str, dict[str, list[list[float]]]] = {}
    for row, metric, _, _, values in wide.iter_rows():
        rows.setdefault(row, {}).setdefault(metric, []).append(values)
    stacked = {row: {k: torch.tensor(v) for k, v in metrics.items()} for row, metrics in rows.items()}
    return stacked, torch.arange(len(users[0])), sorted(partial["row"])


def configured(runs: Sequence[Path]) -> tuple[str, list[str], list[int]]:
    """The experiment's name, the rows its differences are to, and the seeds, each once.

    Raises:
        DataError: the runs are of several experiments.
    """
    configs = [OmegaConf.load(RunFolder(run).config) for run in runs]
    names = sorted({config.name for config in configs})
    if len(names) > 1:
        raise DataError(f"the runs are of several experiments, {', '.join(names)}: give runs of one")
    return names[0], list(configs[0].evaluation.references), sorted({config.seed for config in configs})


def coverage(runs: Sequence[Path]) -> dict[str, float]:
    """Mean `coverage@10` of each row."""
    found: dict[str, list[float]] = {}
    for run in runs:
        for row, cells in json.loads((run / "metrics.json").read_text()).items():
            found.setdefault(row, []).append(cells["coverage@10"]["value"])
    return {row: sum(values) / len(values) for row, values in found.items()}


def table(runs: Sequence[Path], references: Sequence[str]) -> str:
    """The table as Markdown."""
    rows, users, partial = read(runs)
    covered = coverage(runs)
    found = summarise(rows, users, references=references)
    head = ["", "NDCG@10", *(f"− {reference}" for reference in references), *(d.upper() for d in DEPTHS), "coverage@10"]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for row in (name for name in covered if name in found):
        cells = found[row]
        differences = [_interval(cells.get(f"ndcg@10_minus_{reference}"), "+") for reference in references]
        depths = [f"{cells[metric].value:.4f}" for metric in DEPTHS]
        lines.append(" | ".join([row, _interval(cells["ndcg@10"]), *differences, *depths, f"{covered[row]:.3f}"]))
    text = "\n".join(f"| {line} |" for line in lines)
    return f"{text}\n\nNot in every run: {', '.join(partial)}." if partial else text


def _interval(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return ""
    value = f"{interval.value:{sign}.4f}"
    return value if interval.low is None else f"{value} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def main() -> None:
    """Print the table; with `--write`, keep it with the experiment, the seeds and the commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--reference", action="append", default=None)
    parser.add_argument("--title", default="Quality")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    name, references, seeds = configured(given.runs)
    text = table(given.runs, given.reference or references)
    Console(width=200).print(Markdown(text))
    if given.write:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        made_by = f"`recsys train experiment={name}`, seeds {', '.join(map(str, seeds))}"
        given.write.write_text(f"# {given.title}\n\n{made_by}, commit {commit.stdout.strip()}.\n\n{text}\n")


if __name__ == "__main__":
    main()
