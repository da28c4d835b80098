"""A disk that is full or read-only ends a command with a sentence; once it is not, the same command gives the same."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recsys.cli.main import DONE, REFUSED, main
from tests.faults.runs import arguments, contents, made
from tests.replay.feedback_files import action_table, written

pytestmark = pytest.mark.faults

WEIGHTS = "stages/train/sft/weights.safetensors"
ENOUGH = 16_384
"""Kilobytes that a whole run has room in."""


class Disk:
    """A file system of its own, whose size and rights a test changes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, options: str) -> subprocess.CompletedProcess[str]:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)]
        return subprocess.run(command, capture_output=True, text=True)

    def set(self, options: str) -> None:
        done = self.mount(f"remount,{options}")
        assert done.returncode == 0, done.stderr


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    own = Disk(folder)
    if shutil.which("mount") is None:
        pytest.skip("there is no command `mount`")
    tried = own.mount("size=64k")
    if tried.returncode:
        pytest.skip(f"this machine refuses to mount a tmpfs: {tried.stderr.strip()}")
    yield own
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was never disturbed, with its tables and its prepared data beside it."""
    return made(tmp_path_factory.mktemp("whole"))


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    shown = capsys.readouterr().err
    assert "Traceback" not in shown and "Logging error" not in shown
    assert len(shown.splitlines()) == 1, shown
    return shown


def same(run: Path, whole: Path) -> bool:
    """Whether two runs have the same weights and metrics."""
    metrics = [json.loads((one / "metrics.json").read_text()) for one in (run, whole)]
    return metrics[0] == metrics[1] and contents(run)[WEIGHTS] == contents(whole)[WEIGHTS]


@pytest.mark.parametrize("kilobytes", [4, 24, 60, 100, 150, 200, 250, 300])
def test_a_full_disk(kilobytes: int, disk: Disk, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    disk.set(f"size={kilobytes}k")
    command = arguments(whole.parent, f"run={disk.folder / 'run'}")
    assert main(command) == REFUSED
    said = told(capsys)
    assert str(disk.folder / "run") in said and "free space, or write elsewhere (root=FOLDER)" in said
    assert ".aside" not in said
    disk.set(f"size={ENOUGH}k")
    assert main(command) == DONE
    assert same(disk.folder / "run", whole)
    assert not list(disk.folder.rglob("*aside*"))


def test_a_disk_that_becomes_read_only(disk: Disk, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = arguments(whole.parent, f"run={disk.folder / 'run'}")
    disk.set(f"size={ENOUGH}k")
    assert main([*command, "stages=[prepare,tokenize]"]) == DONE
    capsys.readouterr()
    disk.set("ro")
    assert main(command) == REFUSED
    said = told(capsys)
    assert str(disk.folder / "run") in said and "choose a folder that may be written (root=FOLDER)" in said
    disk.set("rw")
    assert main(command) == DONE
    assert same(disk.folder / "run", whole)


@pytest.mark.parametrize("command", ["bench", "replay", "prepare"])
def test_other_commands_on_a_disk_that_is_read_only(
    command: str, disk: Disk, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = written(action_table(), tmp_path / "log.parquet")
    disk.set("ro")
    own = {
        "bench": ["policy=[random]", "limit=2", "processes=1", f"root={disk.folder}"],
        "replay": ["log=parquet", f"log.path={log}", "policy=uniform", f"root={disk.folder}"],
        "prepare": arguments(whole.parent, f"run={disk.folder / 'run'}")[1:],
    }
    assert main([command, *own[command]]) == REFUSED
    said = told(capsys)
    assert str(disk.folder) in said and "choose a folder that may be written" in said


@pytest.mark.parametrize("largest", [2_000, 20_000])
def test_files_that_may_not_grow(largest: int, whole: Path, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))

    command = arguments(whole.parent, f"run={tmp_path / 'run'}")
    ended = subprocess.run(
        [sys.executable, "-m", "recsys.cli.main", *command],
        capture_output=True, text=True, preexec_fn=limit, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == REFUSED, ended.stderr
    assert len(ended.stderr.splitlines()) == 1 and str(tmp_path / "run") in ended.stderr
    assert "File too large; free space" in ended.stderr or "could not be written" in ended.stderr
    assert main(command) == DONE
    assert same(tmp_path / "run", whole)
