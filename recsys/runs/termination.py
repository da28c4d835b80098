"""Let SIGTERM end a command as Ctrl-C does: what is open is cleaned up, and the exit code says what happened."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(BaseException):
    """The process was asked to end (SIGTERM). It is no `Exception`: nobody takes it for a failure and goes on."""


@contextmanager
def raising_terminated() -> Iterator[None]:
    """Raise `Terminated` inside the block when SIGTERM comes, once; further ones change nothing.

    Where a library swallows it, as an import or a destructor can, it is raised at the end of the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came = False

    def handle(*_: Any) -> None:
        nonlocal came
        if not came:
            came = True
            raise Terminated

    before = signal.signal(signal.SIGTERM, handle)
    try:
        yield
        if came:
            raise Terminated
    finally:
        signal.signal(signal.SIGTERM, before if before is not None else signal.SIG_DFL)
