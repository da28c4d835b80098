"""The command `recsys`: which subcommand runs, and what its end means to the shell."""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

from recsys import __version__
from recsys.errors import RequestError
from recsys.termination import Terminated, raising_terminated

DONE, FAILED, REFUSED, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143

COMMANDS = {
    "train": "logs to checkpoints, metrics with intervals and a report",
    "prepare": "raw data to tables",
    "bench": "policies in a simulator, side by side",
    "replay": "what other policies would have earned, estimated from a log",
    "recommend": "a trained policy's items for users, by title, with probabilities",
    "doctor": "versions, devices, which extras work",
}
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
        0 done, 2 the request is wrong (one plain message), 1 a failure inside (a traceback), 130 interrupted (Ctrl-C),
        143 terminated (SIGTERM).
    """
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command in ("--help", "-h", "help"):
        print(USAGE)
        return DONE
    if command == "--version":
        print(__version__)
        return DONE
    try:
        with raising_terminated():
            run(command, rest)
    except RequestError as error:
        print(f"recsys {command}: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        print(f"\ninterrupted{go_on(command, rest)}", file=sys.stderr)
        return INTERRUPTED
    except Terminated:
        print(f"\nterminated{go_on(command, rest)}", file=sys.stderr)
        return TERMINATED
    except Exception:
        traceback.print_exc()
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


def go_on(command: str, arguments: Sequence[str]) -> str:
    """What to type to go on after an interruption, as the end of a message.

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
