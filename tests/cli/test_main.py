from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from recsys import __version__
from recsys.cli.main import COMMANDS, DONE, FAILED, REFUSED, main
from recsys.runs.termination import Terminated, raising_terminated


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        assert all(command in shown for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian", "experiment=x"]) == 2
    shown = capsys.readouterr()
    assert shown.err == "recsys trian: there is no such command; did you mean 'train'?\n"
    assert shown.out == ""


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("data", 2, "recsys train: interactions.parquet: row 3: no item_id\n"),
        ("key", 130, "interrupted; to go on: recsys train experiment=fake stage.sft.how=key resume=true\n"),
        ("term", 143, "terminated; to go on: recsys train experiment=fake stage.sft.how=term resume=true\n"),
        ("lightning", 130, "interrupted; to go on: recsys train experiment=fake stage.sft.how=lightning resume=true\n"),
    ],
)
def test_the_end_of_a_run_is_an_exit_code_and_one_message(
    folder: Path, trap: Path, capsys: pytest.CaptureFixture[str], how: str, code: int, told: str
) -> None:
    trap.touch()
    assert main(["train", "experiment=fake", f"stage.sft.how={how}"]) == code
    assert capsys.readouterr().err.lstrip("\n") == told


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGHUP, 129, "terminal closed")]
)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_that_it_was_terminated(
    command: str,
    number: signal.Signals,
    code: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = signal.getsignal(number)
    again: list[bool] = []

    def terminated(_: object) -> None:
        try:
            os.kill(os.getpid(), number)
        except Terminated:
            os.kill(os.getpid(), signal.SIGTERM)  # while it cleans up
            again.append(True)
            raise

    monkeypatch.setitem(sys.modules, f"recsys.cli.{command}", SimpleNamespace(main=terminated))
    assert main([command, "a=1"]) == code
    told = capsys.readouterr().err
    assert told.startswith(f"\n{said}")
    assert ("a=1 resume=true" in told) == (command not in ("recommend", "doctor"))
    assert again == [True] and signal.getsignal(number) is before


def test_under_nohup_a_closed_terminal_changes_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raising_terminated():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_failure_inside_shows_its_traceback(folder: Path, trap: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trap.touch()
    assert main(["train", "experiment=fake", "stage.sft.how=inside"]) == 1
    told = capsys.readouterr().err
    assert "ZeroDivisionError: inside" in told
    assert "fake_stages.py" in told


def test_the_process_ends_with_the_code_and_no_torch_is_needed_to_refuse(tmp_path: Path) -> None:
    script = (
        "import sys; from recsys.cli.main import main; code = main(); assert 'torch' not in sys.modules; sys.exit(code)"
    )
    command = [sys.executable, "-c", script, "train", "sead=1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert done.stderr == "recsys train: sead: there is no such key; did you mean 'seed'?\n"
    assert done.stdout == ""
    assert not list(tmp_path.iterdir())


class Command:
    """A command that does what a test asks."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work

    def __call__(self, command: str, arguments: Sequence[str]) -> None:
        self.work()


def raising(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "runs/a"), "runs/a: No space left on device; free space"),
        (OSError(errno.EFBIG, "File too large", "runs/a"), "runs/a: File too large; free space"),
        (OSError(errno.EROFS, "Read-only file system", "runs/a"), "runs/a: Read-only file system; choose a folder"),
        (PermissionError(errno.EACCES, "Permission denied", "runs"), "runs: Permission denied; choose a folder"),
        (
            RuntimeError("I/O error: No space left on device (os error 28)"),
            "device (os error 28); free space",
        ),
        (RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed"), "file write failed; free"),
    ],
)
def test_a_disk_that_cannot_be_written_is_one_sentence(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("recsys.cli.main.run", Command(raising(error)))
    assert main(["train"]) == REFUSED
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown and len(shown.splitlines()) == 1


def test_another_failure_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("recsys.cli.main.run", Command(raising(KeyError("wrong"))))
    assert main(["train"]) == FAILED
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_standard_output_that_is_full_is_one_sentence() -> None:
    command = [sys.executable, "-m", "recsys.cli.main", "recommend", "--help"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == REFUSED, ended.stderr
    assert ended.stderr.startswith("recsys recommend: a file: No space left on device")


def test_a_terminal_of_ascii_gets_plain_signs() -> None:
    code = (
        "from recsys.cli import main as command\n"
        "from recsys.report.console import Column, ConsoleTable, show_table\n"
        "table = ConsoleTable([Column('é')], [['\\U0001f600']], title='−1.5 …', lines='all')\n"
        "command.run = lambda *_: show_table(table)\n"
        "raise SystemExit(command.main(['recommend']))"
    )
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == DONE, ended.stderr
    assert all(part in ended.stdout for part in ("-1.5", "...", r"\xe9", r"\U0001f600"))
    assert ended.stdout.isascii()


def test_a_sigterm_that_a_library_swallows_ends_the_command_at_its_end() -> None:
    with pytest.raises(Terminated), raising_terminated(), contextlib.suppress(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_that_a_library_makes_another_error_of_is_a_signal() -> None:
    """An import that is interrupted may end as an ImportError."""
    with pytest.raises(Terminated) as ended, raising_terminated():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Terminated:
            raise ImportError("cannot import name 'x' from partially initialized module") from None
    assert ended.value.exit_code == 143
    with pytest.raises(ImportError), raising_terminated():
        raise ImportError("of its own")
