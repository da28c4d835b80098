"""Checksums of results: a file that was damaged or deleted is never taken for the one that was written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from recsys.atomic import ASIDE, write_json
from recsys.errors import DataError

CHECKSUMS_FILE = "checksums.json"
"""In a folder that is read as a whole: the checksum of every other file of it, written last."""

Checksums = Mapping[str, tuple[int, str]]
"""Size in bytes and hexadecimal SHA-256 of files, by their path relative to a folder."""


def checksum(file: Path) -> tuple[int, str]:
    """Return size and hexadecimal SHA-256 of a file; it is read once as long as it does not change."""
    found = file.stat()
    return found.st_size, _digest(file, found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=4096)
def _digest(file: Path, size: int, changed: int, inode: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def folder_checksums(folder: Path, without: tuple[str, ...] = ()) -> dict[str, tuple[int, str]]:
    """Return the checksums of all files below a folder.

    A folder inside that has checksums of its own may be replaced as a whole, and answers for itself: it is left out.

    Args:
        folder: the folder.
        without: names of files at its top that are left out.
    """
    own = {one.parent for one in folder.rglob(CHECKSUMS_FILE) if one.parent != folder}
    files = (
        one
        for one in sorted(folder.rglob("*"))
        if one.is_file() and not own & set(one.parents) and not ASIDE.search(one.name)
    )
    return {
        str(one.relative_to(folder)): checksum(one)
        for one in files
        if not (one.parent == folder and one.name in (*without, CHECKSUMS_FILE))
    }


def first_damaged(folder: Path, expected: Checksums) -> Path | None:
    """Return the first file that is gone or is another one than was written; None where all are as they were."""
    for name, (size, digest) in expected.items():
        file = folder / name
        try:
            if file.stat().st_size != size or checksum(file) != (size, digest):
                return file
        except OSError:
            return file
    return None


def write_checksums(folder: Path) -> None:
    """Write the checksums of a folder that is read as a whole; the last thing to write there."""
    write_json(folder / CHECKSUMS_FILE, folder_checksums(folder), indent=1)


def check_folder(folder: Path, todo: str) -> None:
    """Refuse a folder with checksums of which a file was damaged or deleted; one without checksums is not checked.

    Args:
        folder: the folder.
        todo: what to do about it, the end of the message.

    Raises:
        DataError: a file is gone or is another one than was written.
    """
    file = folder / CHECKSUMS_FILE
    if not file.exists():
        return
    try:
        damaged = first_damaged(folder, read_checksums(json.loads(file.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError, AttributeError):
        damaged = file
    if damaged is not None:
        raise DataError(f"{damaged} is {'damaged' if damaged.exists() else 'gone'}: {todo}")


def read_checksums(stored: Mapping[str, Sequence[Any]]) -> dict[str, tuple[int, str]]:
    """Return checksums as JSON has them.

    Raises:
        ValueError, TypeError: they are none.
    """
    return {str(name): (int(size), str(digest)) for name, (size, digest) in stored.items()}
