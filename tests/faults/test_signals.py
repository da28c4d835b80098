"""Signals end a command with their exit code, the line that says how to go on, and nothing that runs on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys.cli.main import main
from tests.faults.commands import COMMANDS
from tests.faults.runs import arguments, contents, made
from tests.tables import write_tables

pytestmark = pytest.mark.faults

ENDS = {
    signal.SIGTERM: (143, "terminated"),
    signal.SIGINT: (130, "interrupted"),
    signal.SIGHUP: (129, "terminal closed"),
}
COMMAND = "import sys\nfrom recsys.cli.main import main\nif __name__ == '__main__': sys.exit(main())"
CONTROLLED = f"import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSCTTY, 0)\n{COMMAND}"
"""The command, in a session whose terminal is its own."""
WEIGHTS = "stages/train/sft/weights.safetensors"


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("validation", [False, True])
def test_a_training(
    number: signal.Signals, validation: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = contents(made(tmp_path, f"run={tmp_path / 'whole'}").parent / "whole")[WEIGHTS]
    command = arguments(tmp_path, f"+trainer.number={int(number)}", f"+trainer.validation={validation}")
    command = [one for one in command if one not in ("+trainer.number=0", "+trainer.validation=false")]
    code, told = ENDS[number]
    assert main(command) == code
    assert f"\n{told}; to go on: recsys train " in capsys.readouterr().err
    assert f"{told}; to go on: the same command with run={tmp_path / 'run'}\n" in (tmp_path / "run/run.log").read_text()
    assert not list(tmp_path.rglob("*aside*"))
    assert main(arguments(tmp_path)) == 0
    assert contents(tmp_path / "run")[WEIGHTS] == whole


def bench(folder: Path, *more: str) -> list[str]:
    """Runs that take seconds, two at a time, and many of them."""
    small = ["simulator=slate/interest", "policy=[random,greedy]", "seeds=40", "users=50", "steps=60", "processes=2"]
    return ["bench", *small, f"run={folder / 'run'}", *more]


def started(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """The command, once two of its processes are there and one run was played."""
    process = subprocess.Popen(
        [sys.executable, "-m", "recsys.cli.main", *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    until(lambda: process.poll() is not None or len(list(folder.rglob("record.pt"))) >= 1)
    assert process.poll() is None, process.communicate()
    return process


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def workers(parent: int) -> list[int]:
    """The processes that play."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            own = (one / "stat").read_text().rpartition(")")[2].split()[1] == str(parent)
            found += [int(one.name)] if own and b"spawn_main" in (one / "cmdline").read_bytes() else []
        except OSError:
            continue
    return found


def ended(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = started(bench(tmp_path), tmp_path)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize("number", ENDS)
def test_a_bench_ends_at_once_with_its_processes(
    number: signal.Signals, running: subprocess.Popen[str], tmp_path: Path
) -> None:
    playing = workers(running.pid)
    assert playing
    running.send_signal(number)
    _, told = running.communicate(timeout=15)
    code, word = ENDS[number]
    assert (running.returncode, f"\n{word}; to go on: recsys bench " in told) == (code, True)
    assert all(map(ended, playing))
    assert len(list(tmp_path.rglob("record.pt"))) < 80
    assert not list(tmp_path.rglob("*aside*"))


def test_the_processes_of_a_bench_that_was_killed_end_too(running: subprocess.Popen[str]) -> None:
    playing = workers(running.pid)
    assert playing
    os.kill(running.pid, signal.SIGKILL)
    until(lambda: all(map(ended, playing)), 15)


def test_a_killed_process_of_a_bench_costs_its_run_only(tmp_path: Path) -> None:
    process = started(bench(tmp_path, "seeds=3"), tmp_path)
    os.kill(workers(process.pid)[0], signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 1
    assert told.count("its process died or was killed") >= 1
    assert len(list(tmp_path.rglob("record.pt"))) == 2 * 3 - 1
    assert (tmp_path / "run" / "metrics.json").exists()
    again = ["bench", *bench(tmp_path, "seeds=3")[1:]]
    assert (
        subprocess.run([sys.executable, "-m", "recsys.cli.main", *again], cwd=Path(__file__).parents[2]).returncode == 0
    )
    assert len(list(tmp_path.rglob("record.pt"))) == 2 * 3


WORK = {"prepare": "recsys.data.datasets.prepare._prepare", "replay": "recsys.replay.stages.replay.evaluate"}
"""What each command does for longest."""


@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("command", WORK)
def test_a_command_in_its_work(
    command: str,
    number: signal.Signals,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = COMMANDS[command].begin(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(WORK[command], lambda *_: os.kill(os.getpid(), number))
        code, told = ENDS[number]
        assert main(given) == code
    assert f"\n{told}; to go on: recsys {command} " in capsys.readouterr().err
    assert f"{told}; to go on: the same command with run=" in (tmp_path / "run" / "run.log").read_text()
    assert not list(tmp_path.rglob("*aside*"))
    assert main(given) == 0


@pytest.mark.parametrize("hears", [True, False], ids=["signal", "output fails"])
def test_a_terminal_that_is_closed(hears: bool, tmp_path: Path) -> None:
    """The terminal goes while a bench draws its progress; it sends SIGHUP to the process that it controls."""
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", CONTROLLED if hears else COMMAND, *bench(tmp_path)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=Path(__file__).parents[2],
    ) as process:  # fmt: skip
        os.close(theirs)
        while not list(tmp_path.rglob("record.pt")):
            assert os.read(ours, 1 << 16), "what is not read would hold it up"
        os.close(ours)
        assert process.wait(30) == 129
    assert "terminal closed; to go on: the same command with run=" in (tmp_path / "run" / "run.log").read_text()
    assert not list(tmp_path.rglob("*aside*"))


def test_preparing(tmp_path: Path) -> None:
    """The process is asked to end while it imports or prepares."""
    write_tables(tmp_path / "tables")
    command = ["prepare", *arguments(tmp_path)[1:]]
    process = subprocess.Popen(
        [sys.executable, "-m", "recsys.cli.main", *command],
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    time.sleep(2.5)
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 143 and "terminated; to go on: recsys prepare " in told
