"""Several runs of an experiment on sessions, a training seed each, as tables.

python benchmarks/quality/session_seeds.py RUN_FOLDER... [--against OTHER_RUN]... [--write FILE] [--title TITLE]

Means over seeds and users, with 95 % bootstrap intervals over users for the seeds given; differences are paired by user
and seed. Beside the judge's and the real figures of every row stand: what alignment does to the mean and to the largest
of a request's sessions, how much of its gain a smaller share of pairs has, and the rows about which the judge and what
users did disagree. `--against` compares each row with the same row of other runs, such as those with other codes.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import torch
from omegaconf import OmegaConf
from rich.console import Console
from rich.markdown import Markdown

from recsys.errors import DataError
from recsys.metrics.intervals import Interval
from recsys.metrics.results import summarise
from recsys.runs.run_folder import RunFolder
from recsys.training.session_tables import disagreements

Table = Mapping[str, Mapping[str, Interval]]

SHARES = ("ipa_1_percent", "ipa")
"""Rows that differ in the share of requests with a pair alone."""


def read(runs: Sequence[Path]) -> pl.DataFrame:
    """Return one value a row, metric, user and seed.

    Raises:
        DataError: the runs are of several experiments.
    """
    names = sorted({OmegaConf.load(RunFolder(run).config).name for run in runs})
    if len(names) > 1:
        raise DataError(f"the runs are of several experiments, {', '.join(names)}: give runs of one")
    frame = pl.concat([pl.read_parquet(run / "metrics.parquet") for run in runs])
    return frame.unique(["user_id", "row", "metric", "seed"], keep="last", maintain_order=True)


def summary(frame: pl.DataFrame, references: Sequence[str]) -> Table:
    """Return means and differences with intervals; each metric has users of its own.

    Raises:
        DataError: rows or seeds of a metric do not have the same users.
    """
    table: dict[str, dict[str, Interval]] = {row: {} for row in frame["row"].unique(maintain_order=True)}
    for (metric,), part in frame.group_by("metric", maintain_order=True):
        cells = part.sort("user_id").group_by("row", "seed", maintain_order=True).agg("user_id", "value").sort("seed")
        users = cells["user_id"].to_list()
        if any(other != users[0] for other in users):
            raise DataError(f"{metric}: rows or seeds have different users: give finished runs of one experiment")
        values = {
            row: {metric: torch.tensor(cells.filter(pl.col("row") == row)["value"].to_list())}
            for row in cells["row"].unique(maintain_order=True)
        }
        for row, found in summarise(values, torch.arange(len(users[0])), references=references).items():
            table[row] |= found
    return table


def against(frame: pl.DataFrame, other: pl.DataFrame) -> Table:
    """Return every row's difference to the same row of other runs, `<metric>_minus_other`."""
    both = pl.concat([frame, other.with_columns(pl.col("row") + pl.lit(" other"))])
    rows = [row for row in frame["row"].unique(maintain_order=True) if row in other["row"].unique()]
    found: dict[str, dict[str, Interval]] = {}
    for row in rows:
        pair = both.filter(pl.col("row").is_in([row, f"{row} other"]))
        seeds = pair.group_by("row").agg(pl.col("seed").unique()).explode("seed").group_by("seed").len()
        pair = pair.filter(pl.col("seed").is_in(seeds.filter(pl.col("len") == 2)["seed"].implode()))
        cells = summary(pair, [f"{row} other"])[row]
        found[row] = {key.removesuffix(f"{row} other") + "other": one for key, one in cells.items() if "_minus_" in key}
    return found


def lines_of(table: Table, metrics: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the lines of a Markdown table of metrics, by the names of their columns."""
    shown = {name: metric for name, metric in metrics.items() if any(metric in cells for cells in table.values())}
    yield ["", *shown]
    yield ["---"] * (len(shown) + 1)
    for row, cells in table.items():
        yield [row, *(text(cells.get(metric), "_minus_" in metric) for metric in shown.values())]


def text(interval: Interval | None, signed: bool = False) -> str:
    """Return a mean with its interval, empty for none.

    >>> text(Interval(0.25, 0.2, 0.3), signed=True)
    '+0.2500 [+0.2000, +0.3000]'
    """
    if interval is None:
        return ""
    form = "{:+z.4f}" if signed else "{:.4f}"
    if interval.low is None or interval.high is None:
        return form.format(interval.value)
    return f"{form.format(interval.value)} [{form.format(interval.low)}, {form.format(interval.high)}]"


def share_of_gain(table: Table, metric: str, reference: str) -> dict[str, float]:
    """Return what part of the gain of the largest share of pairs each smaller one has; empty without a sure gain."""
    key = f"{metric}_minus_{reference}"
    most = table.get(SHARES[-1], {}).get(key)
    if most is None or not _sure(most) or most.value <= 0:
        return {}
    return {row: table[row][key].value / most.value for row in SHARES[:-1] if row in table}


def _sure(interval: Interval) -> bool:
    return interval.low is not None and interval.high is not None and not interval.low <= 0 <= interval.high


def page(frame: pl.DataFrame, references: Sequence[str], other: pl.DataFrame | None = None) -> str:
    """Return the tables and what follows from them as Markdown."""
    table, first = summary(frame, references), references[0]
    metrics = frame["metric"].unique(maintain_order=True).to_list()
    heads = [name.removeprefix("judge_mean/") for name in metrics if name.startswith("judge_mean/")]
    channels = [name.removeprefix("ndcg/") for name in metrics if name.startswith("ndcg/")]
    parts = [
        "## The judge",
        "Mean and largest probability over the sampled sessions of a request.",
        _markdown(lines_of(table, {f"{h} {p}": f"judge_{p}/{h}" for h in heads for p in ("mean", "max")})),
        "## What users engaged with",
        "Recall and NDCG of the session that is served. An item that the log did not show has no outcome, and counts as"
        " not engaged with: policies that leave the log lose here, whatever users would have done.",
        _markdown(
            lines_of(
                table,
                {f"NDCG {channels[0]}": f"ndcg/{channels[0]}"}
                | {f"− {one}": f"ndcg/{channels[0]}_minus_{one}" for one in references}
                | {f"recall {c}": f"recall/{c}" for c in channels}
                | {f"NDCG {c}": f"ndcg/{c}" for c in channels[1:]},
            )
        ),
        f"## Mean and upper tail against {first}",
        _markdown(
            lines_of(table, {f"{h} {p}": f"judge_{p}/{h}_minus_{first}" for h in heads for p in ("mean", "max")})
        ),
    ]
    for head in heads:
        for part in ("mean", "max"):
            gains = share_of_gain(table, f"judge_{part}/{head}", first)
            parts += [f"- {row}: {share:.0%} of the gain of ipa in judge_{part}/{head}" for row, share in gains.items()]
    plain = {row: {name: cell.to_dict() for name, cell in cells.items()} for row, cells in table.items()}
    said = [
        f"- {one.row}: the judge's {one.head} {text(Interval(**one.judged), True)}, the users' NDCG of {one.channel} "
        f"{text(Interval(**one.real), True)}"
        for one in disagreements(plain, heads, channels, first)
    ]
    parts += [
        "## Where the judge and the users disagree",
        *(said or ["Nowhere do both intervals leave out 0 on different sides."]),
    ]
    if other is not None:
        names = {f"judged {h}": f"judge_mean/{h}_minus_other" for h in heads}
        names |= {f"NDCG {c}": f"ndcg/{c}_minus_other" for c in channels}
        parts += ["## Against the other runs", _markdown(lines_of(against(frame, other), names))]
    return "\n\n".join(parts)


def _markdown(lines: Iterator[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the page; with `--write`, keep it with the experiment, the seeds and the commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--against", action="append", type=Path, default=[])
    parser.add_argument("--title", default="Sessions")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    config = OmegaConf.load(RunFolder(given.runs[0]).config)
    frame = read(given.runs)
    found = page(frame, list(config.evaluation.references), read(given.against) if given.against else None)
    Console(width=240).print(Markdown(found))
    if given.write:
        commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
        seeds = ", ".join(map(str, frame["seed"].unique().sort()))
        made_by = f"`recsys train experiment={config.name}`, seeds {seeds}, commit {commit.stdout.strip()}."
        given.write.write_text(f"# {given.title}\n\n{made_by}\n\n{found}\n")


if __name__ == "__main__":
    main()
