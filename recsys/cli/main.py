"""The command `recsys`: which subcommand runs, and what its end means to the shell."""

from __future__ import annotations

import errno
import os
import re
import shlex
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module

from recsys import __version__
from recsys.errors import FailedPartsError, RequestError
from recsys.report.console import print_plainly, say
from recsys.runs.notices import quiet_libraries
from recsys.runs.termination import Terminated, raising_terminated

DONE, FAILED, REFUSED, INTERRUPTED = 0, 1, 2, 130

COMMANDS = {
    "train": "logs to checkpoints, metrics with intervals and a report",
    "prepare": "raw data to tables",
    "bench": "policies in a simulator, side by side",
    "replay": "what other policies would have earned, estimated from a log",
    "recommend": "a trained policy's items for users, by title, with probabilities",
    "doctor": "versions, devices, which extras work",
}
SPACE, ELSEWHERE = "free space, or write elsewhere (root=FOLDER)", "choose a folder that may be written (root=FOLDER)"
STORAGE: dict[int, str] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), SPACE),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), ELSEWHERE),
}
"""Errors of the disk and what to do about them."""
STORAGE_WORDS = re.compile(
    "|".join([*(os.strerror(one) for one in STORAGE), "PytorchStreamWriter failed", "inline_container"])
)
OUT_OF_MEMORY = re.compile("DefaultCPUAllocator: (can't allocate|not enough) memory|CUDA out of memory")
"""What torch says where memory runs out, on a CPU or a GPU."""
RESUMABLE = ("train", "bench", "replay", "prepare")

USAGE = "\n".join(
    [
        "recsys COMMAND [KEY=VALUE ...]",
        "",
        *(f"  {name:<10} {purpose}" for name, purpose in COMMANDS.items()),
        "",
        "`recsys COMMAND --help` says what a command takes; `--version` which recsys this is.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: its name and what it is given; None takes those of the process.

    Returns:
        0 done, 2 the request is wrong or a file cannot be written (one plain message), 1 a failure inside (a
        traceback, or a message that names the parts which failed), 129 terminal closed (SIGHUP), 130 interrupted
        (Ctrl-C), 143 terminated (SIGTERM).
    """
    print_plainly(sys.stdout)
    print_plainly(sys.stderr)
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        with raising_terminated(), quiet_libraries():
            if command in ("--help", "-h", "help", "--version"):
                say(__version__ if command == "--version" else USAGE)
            else:
                run(command, rest)
        sys.stdout.flush()
    except RequestError as error:
        say(f"recsys {command}: {error}", sys.stderr)
        return REFUSED
    except FailedPartsError as error:
        say(f"recsys {command}: {error}", sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        say(f"\ninterrupted{go_on(command, rest)}", sys.stderr)
        return INTERRUPTED
    except Terminated as ended:
        with suppress(OSError):  # of a terminal that is closed
            say(f"\n{ended.word}{go_on(command, rest)}", sys.stderr)
        return ended.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that the last flush finds a reader
        return FAILED
    except Exception as error:
        problem = memory_problem(error) or storage_problem(error)
        if problem is not None:
            say(f"recsys {command}: {problem}", sys.stderr)
            return REFUSED
        say(traceback.format_exc().rstrip(), sys.stderr)
        return FAILED
    return DONE


def run(command: str, arguments: Sequence[str]) -> None:
    """Run a subcommand by its name.

    Raises:
        RequestError: there is none of that name.
    """
    if command not in COMMANDS:
        from recsys.config.suggest import suggestion

        raise RequestError(f"there is no such command; {suggestion(command, COMMANDS)}")
    import_module(f"recsys.cli.{command}").main(arguments)


def storage_problem(error: BaseException) -> str | None:
    """Return what to say of an error of the disk: full, read-only, not permitted; None for any other error.

    Libraries raise such errors as classes of their own, which are told by their words.

    >>> storage_problem(OSError(errno.ENOSPC, "No space left on device", "runs/metrics.json"))
    'runs/metrics.json: No space left on device; free space, or write elsewhere (root=FOLDER)'
    >>> storage_problem(ValueError("wrong"))
    """
    chain = list(_causes(error))
    for found in chain:
        number = found.errno if isinstance(found, OSError) else None
        said = STORAGE_WORDS.search(str(found))
        if number in STORAGE:
            return f"{_written(chain)}: {os.strerror(number)}; {STORAGE[number]}"
        if said is not None:
            advice = next((STORAGE[one] for one in STORAGE if os.strerror(one) == said[0]), SPACE)
            return f"{_written(chain)} could not be written: {found}; {advice}"
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _written(chain: Sequence[BaseException]) -> str:
    """Return the path that could not be written, as its reader knows it: not that of the unfinished file aside."""
    from recsys.atomic import ASIDE, written_path

    names = [str(name) for one in chain if (name := getattr(one, "filename", None)) is not None]
    noted = [path for one in chain if (path := written_path(one)) is not None]
    return next((one for one in (*names, *noted) if not ASIDE.search(one)), "a file")


def memory_problem(error: BaseException) -> str | None:
    """Return what to say where memory ran out; None for any other error.

    >>> memory_problem(MemoryError())
    'there is not enough memory: ask for fewer users, smaller batches or narrower networks'
    >>> memory_problem(ValueError("wrong"))
    """
    short = any(isinstance(one, MemoryError) or OUT_OF_MEMORY.search(str(one)) for one in _causes(error))
    return "there is not enough memory: ask for fewer users, smaller batches or narrower networks" if short else None


def go_on(command: str, arguments: Sequence[str]) -> str:
    """Return what to type to go on after an interruption, as the end of a message.

    >>> go_on("train", ["experiment=rere/movielens_100k", "resume=false"])
    '; to go on: recsys train experiment=rere/movielens_100k resume=true'
    >>> go_on("doctor", [])
    ''
    """
    if command not in RESUMABLE:
        return ""
    again = [one for one in arguments if not one.startswith("resume=")]
    return f"; to go on: {shlex.join(['recsys', command, *again, 'resume=true'])}"


if __name__ == "__main__":
    sys.exit(main())
