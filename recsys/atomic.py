"""Write files and folders whole: aside first, flushed to the disk, then renamed into place."""

from __future__ import annotations

import fcntl
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl

ASIDE = re.compile(r"\.\d+\.aside$|^\.aside-")
"""Names of what is being written."""


WRITING = "while writing "
"""How the note begins that names what was being written."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add to an error inside the block a note of the path that is being written; few errors of writing name it."""
    try:
        yield
    except Exception as error:
        error.add_note(f"{WRITING}{path}")
        raise


def written_path(error: BaseException) -> str | None:
    """Return the path that was being written when an error came, from the innermost block; None where none is known."""
    notes = getattr(error, "__notes__", ())
    return next((note.removeprefix(WRITING) for note in notes if note.startswith(WRITING)), None)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; when the block ends it is flushed to the disk and becomes `path`.

    A reader sees the earlier file or the new one, never a part of it. Where the block fails, the earlier file stays and
    nothing is left beside it. The folder must exist.
    """
    aside = path.with_name(f"{path.name}.{os.getpid()}.aside")
    try:
        with naming(path):
            yield aside
            put(aside, path)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder beside `folder` to write to; when the block ends it becomes `folder`.

    Args:
        folder: what it becomes.
        replace: whether a folder that is there by then is replaced. Otherwise one that is not empty stays, and what was
            written is dropped: another process was faster.
    """
    with folder_aside(folder.parent) as aside, naming(folder):
        yield aside
        for file in aside.rglob("*"):
            if file.is_file():
                _flush(file)
        aside.chmod(0o755)
        if replace and folder.is_dir():
            os.replace(folder, _old(aside))
        try:
            os.replace(aside, folder)
        except OSError:
            if not folder.is_dir():
                raise
        _flush(folder.parent)


@contextmanager
def folder_aside(parent: Path) -> Iterator[Path]:
    """Give an empty folder in `parent` to write to; it is removed when the block ends, unless it was renamed.

    The folder is locked while the block runs. What earlier blocks left in `parent` is removed first where it is not
    locked, as their processes were killed. Where the file system has no locks, nobody can tell, and it stays.

    Args:
        parent: it is made if it does not exist.
    """
    parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(parent)
    aside, descriptor = _locked_folder(parent)
    try:
        yield aside
    finally:
        for one in (aside, _old(aside)):
            shutil.rmtree(one, ignore_errors=True)
        os.close(descriptor)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    """Return a new folder and the open descriptor that locks it."""
    while True:
        aside = Path(tempfile.mkdtemp(prefix=".aside-", dir=parent))
        with suppress(FileNotFoundError):  # another process took it for abandoned before it was locked
            descriptor = os.open(aside, os.O_RDONLY)
            with suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if aside.exists():
                return aside, descriptor
            os.close(descriptor)


def _remove_abandoned(parent: Path) -> None:
    """Remove the folders that `folder_aside` gave to processes that were killed."""
    for one in parent.glob(".aside-*/"):
        with suppress(OSError):  # locked, without locks, or removed by another process
            descriptor = os.open(one, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(one, ignore_errors=True)
            finally:
                os.close(descriptor)


def _old(aside: Path) -> Path:
    """Return where the folder goes that `aside` replaces."""
    return aside.with_name(f"{aside.name}-old")


def remove_asides(folder: Path) -> None:
    """Take away what writers below a folder left that were killed; nobody may be writing there."""
    for one in [one for one in folder.rglob("*") if ASIDE.search(one.name)]:
        if one.is_dir():
            shutil.rmtree(one, ignore_errors=True)
        else:
            one.unlink(missing_ok=True)


def put(aside: Path, path: Path) -> None:
    """Flush a file to the disk and give it its name, in place of an earlier file."""
    _flush(aside)
    os.replace(aside, path)
    _flush(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    with whole_file(path) as aside:
        aside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, indent: int | None = None) -> None:
    """Write plain values as JSON, whole or not at all; a number that is not finite, which JSON lacks, becomes null."""
    write_text(path, json.dumps(finite_or_none(value), indent=indent, allow_nan=False))


def finite_or_none(value: Any) -> Any:
    """Return plain values with None for every number that is not finite.

    >>> finite_or_none({"value": float("nan"), "ends": [1.0, float("inf")]})
    {'value': None, 'ends': [1.0, None]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite_or_none(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(one) for one in value]
    return value


def write_parquet(path: Path, table: pl.DataFrame) -> None:
    """Write a table as Parquet, whole or not at all."""
    with whole_file(path) as aside:
        table.write_parquet(aside)


def write_tensors(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors by name as safetensors, whole or not at all; tensors that share memory are written one by one."""
    from safetensors.torch import save_file  # imports torch, which a refused command does without

    with whole_file(path) as aside:
        separate = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        save_file(separate, aside, dict(metadata or {}))


def _flush(file: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
