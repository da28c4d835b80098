"""Small commands that write, and which of the files that they leave are their results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.runs import arguments, contents
from tests.replay.feedback_files import action_table, slate_table, trajectories, written
from tests.tables import write_tables

VOLATILE = ("run.log", ".lock", "count")
"""Files that say when, by which process, or in how many operations. A bench also keeps how long its slates took."""


@dataclass(frozen=True)
class Command:
    """A command on small data.

    Args:
        begin: writes what it reads into a folder; returns its arguments.
        volatile: names of files, beside `VOLATILE`, that differ between equal runs.
        operations: kinds of operations on files at which it is killed; None for all.
    """

    begin: Callable[[Path], list[str]]
    volatile: tuple[str, ...] = ()
    operations: tuple[str, ...] | None = None

    def results(self, folder: Path) -> dict[str, str]:
        """The digest of everything below the folder, by its path; results are equal in equal runs."""
        return {name: one for name, one in contents(folder).items() if not name.endswith(VOLATILE + self.volatile)}


def prepare(folder: Path) -> list[str]:
    write_tables(folder / "tables")
    return ["prepare", *arguments(folder)[1:]]


def replay(folder: Path) -> list[str]:
    log = written(action_table(300), folder / "log.parquet")
    return ["replay", "log=parquet", f"log.path={log}", f"run={folder / 'run'}", "estimator=[ips,snips]"]


def replay_slates(folder: Path) -> list[str]:
    log = written(slate_table(200), folder / "log.parquet")
    who = "+log.logging.random={_target_: recsys.replay.targets.policies.UniformTarget}"
    given = ["log=parquet", f"log.path={log}", who, "estimator=[slate_ips,independent]"]
    return ["replay", *given, f"run={folder / 'run'}"]


def replay_episodes(folder: Path) -> list[str]:
    log = written(trajectories(60), folder / "log.parquet")
    given = ["log=parquet", f"log.path={log}", "estimator=[trajectory_ips,magic]", "estimators.magic.horizon=3"]
    return ["replay", *given, "model=fitted_q", f"run={folder / 'run'}"]


def bench(folder: Path) -> list[str]:
    small = ["simulator=slate/interest", "policy=[random,greedy]", "seeds=2", "users=6", "steps=3", "log=true"]
    return ["bench", *small, "processes=1", f"run={folder / 'run'}"]


def sweep(folder: Path) -> list[str]:
    log = written(action_table(300), folder / "log.parquet")
    given = ["log=parquet", f"log.path={log}", "estimator=[ips]", f"hydra.sweep.dir={folder / 'hydra'}"]
    return ["replay", "--multirun", "confidence=0.9,0.95", *given, f"run={folder}/run_${{confidence}}"]


COMMANDS = {
    "prepare": Command(prepare),
    "replay": Command(replay),
    "replay_slates": Command(replay_slates, operations=("replace", "fsync")),
    "replay_episodes": Command(replay_episodes, operations=("replace", "fsync")),
    "bench": Command(bench, ("record.pt", "fingerprint.json", "metrics.json", "report.html")),
    "sweep": Command(sweep, operations=("replace", "fsync", "unlink")),
}
