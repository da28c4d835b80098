"""A small run that a command makes in seconds, and what lies in its folder."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from recsys.cli.main import main
from tests.tables import write_tables

OTHERS = ("sasrec", "sft_continued", "rere", "rere_lambda")


def arguments(folder: Path, *overrides: str) -> list[str]:
    """`recsys train` on small tables, with one training."""
    return [
        *("train", "experiment=rere/parquet", f"dataset.root={folder / 'tables'}", f"root={folder / 'runs'}"),
        *(f"+data.root={folder / 'data'}", "data.k_core=0", "clusters=4", "max_length=8", "debug=limit"),
        *("network.width=8", "network.layers=1", *(f"~train.{name}" for name in OTHERS)),
        *("stages=[prepare,tokenize,train]", f"run={folder / 'run'}", *overrides),
    ]


def made(folder: Path, *overrides: str) -> Path:
    """Make the run; its folder."""
    if not (folder / "tables").exists():
        write_tables(folder / "tables")
    assert main(arguments(folder, *overrides)) == 0
    return folder / "run"


def copied(run: Path, folder: Path) -> Path:
    """A copy of a run, in another folder."""
    return Path(shutil.copytree(run, folder / "copy"))


def contents(folder: Path) -> dict[str, str]:
    """The digest of every file below a folder, by its path."""
    return {
        str(one.relative_to(folder)): hashlib.sha256(one.read_bytes()).hexdigest()
        for one in sorted(folder.rglob("*"))
        if one.is_file()
    }
