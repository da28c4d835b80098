"""Show the warnings of a user's own code on the console, and those of libraries in the log of the run only."""

from __future__ import annotations

import logging
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from typing_extensions import override

from recsys.report.visible import visible
from recsys.stored import trusted

PACKAGE = "recsys"
OURS = Path(__file__).resolve().parents[1]
STANDARD = Path(sysconfig.get_paths()["stdlib"]).resolve()
INSTALLED = ("site-packages", "dist-packages")
WARNINGS = "py.warnings"
"""The logger of `logging.captureWarnings`."""


class PlainFormatter(logging.Formatter):
    """Formats records with control characters of their messages visible; line breaks stay."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record), keep="\n\t")


class MessageFormatter(PlainFormatter):
    """Formats records without the traceback that they may carry."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        return super().format(logging.makeLogRecord({**vars(record), "exc_info": None, "exc_text": None}))


class Notices(logging.Handler):
    """Writes to standard error what a user has to see and nobody else shows.

    That are warnings that this package logs while no run shows its log, and warnings of a user's own code.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.setFormatter(MessageFormatter("%(message)s"))

    @override
    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] == PACKAGE:
            shown = bool(logging.getLogger(PACKAGE).handlers)
        else:
            shown = not users_own(getattr(record, "source", record.pathname))
        if not shown:
            sys.stderr.write(f"{self.format(record)}\n")


def users_own(file: str) -> bool:
    """Return whether a file of code is a user's: no library's, none of this package, and there at all.

    A module that the user's configuration names is the user's, also where it is installed.

    Args:
        file: its path, as a warning or a record of a log tells it.
    """
    path = Path(file)
    if not path.is_file():
        return False
    inside = [index for index, part in enumerate(path.parts) if part in INSTALLED]
    if inside:
        top = path.parts[inside[-1] + 1].removesuffix(".py")
        return top in {name.partition(".")[0] for name in trusted().modules}
    return not any(path.resolve().is_relative_to(folder) for folder in (OURS, STANDARD))


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Keep warnings of libraries off the console inside the block; those of a user's own code are one line each.

    All go to the handlers of the root logger, such as the file of a run. Blocks may be nested.
    """
    show, added = warnings.showwarning, keep_libraries_quiet()
    try:
        yield
    finally:
        warnings.showwarning = show
        for one in added:
            logging.getLogger().removeHandler(one)


def keep_libraries_quiet() -> list[Notices]:
    """Do what `quiet_libraries` does until the process ends; return the handlers that were added to the root logger."""
    root = logging.getLogger()
    added = [] if any(isinstance(one, Notices) for one in root.handlers) else [Notices()]
    for one in added:
        root.addHandler(one)
    warnings.showwarning = _log_warning
    return added


def _log_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Log a warning in the place of `warnings.showwarning`."""
    text = f"{filename}:{lineno}: {category.__name__}: {message}"
    logging.getLogger(WARNINGS).warning("%s", text, extra={"source": filename})
