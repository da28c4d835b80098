"""Let SIGTERM and SIGHUP end a command as Ctrl-C does: what is open is cleaned up, the exit code says what happened."""

from __future__ import annotations

import errno
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WORDS = {signal.SIGTERM: "terminated", signal.SIGHUP: "terminal closed"}
"""The signals that end a command, and what is said of each."""


class Terminated(BaseException):
    """The process was asked to end. It is no `Exception`: nobody takes it for a failure and goes on.

    Args:
        number: the signal, SIGTERM or SIGHUP.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        self.number = signal.Signals(number)
        super().__init__(self.word)

    @property
    def word(self) -> str:
        """What is said of it."""
        return WORDS[self.number]

    @property
    def exit_code(self) -> int:
        """The exit code of the command, as shells give it: 128 and the number of the signal."""
        return 128 + self.number


@contextmanager
def raising_terminated() -> Iterator[None]:
    """Raise `Terminated` inside the block when SIGTERM or SIGHUP comes, once; further ones change nothing.

    A process that ignores SIGHUP, as under `nohup`, goes on ignoring it. Where a library swallows what is raised, as an
    import or a destructor can, it is raised at the end of the block; where a library makes another error of it, it is
    raised in place of that. Output to a terminal that is closed is dropped
    from then on: it would fail in whatever cleans up. Where such a failure comes before the signal, it counts as the
    signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def handle(number: int, _: Any) -> None:
        came.append(number)
        _drop_closed_output()
        if len(came) == 1:
            raise Terminated(number)

    before = {one: signal.getsignal(one) for one in WORDS}
    before = {one: handler for one, handler in before.items() if (one, handler) != (signal.SIGHUP, signal.SIG_IGN)}
    for one in before:
        signal.signal(one, handle)
    try:
        yield
        if came:
            raise Terminated(came[0])
    except BaseException as error:
        ended = Terminated(came[0]) if came else termination_of(error)
        if ended is None or isinstance(error, Terminated):
            raise
        _drop_closed_output()
        raise ended from error
    finally:
        for one, handler in before.items():
            signal.signal(one, handler if handler is not None else signal.SIG_DFL)


def termination_of(error: BaseException) -> Terminated | None:
    """Return what ended the process, where an error says so: `Terminated` itself, or output to a closed terminal."""
    if isinstance(error, Terminated):
        return error
    if isinstance(error, OSError) and error.errno == errno.EIO and _closed_output():
        return Terminated(signal.SIGHUP)
    return None


def _drop_closed_output() -> None:
    """Send standard output and error to nowhere where they go to a terminal that is closed."""
    if closed := _closed_output():
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for one in closed:
            os.dup2(nowhere, one)
        os.close(nowhere)


def _closed_output() -> list[int]:
    """Return which of standard output and error, 1 and 2, go to a terminal that is closed."""
    poll = select.poll()
    for one in (1, 2):
        poll.register(one, 0)
    return [one for one, event in poll.poll(0) if event & select.POLLHUP]
