"""Write the log of a run to the console and, with times, to `run.log`."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

from typing_extensions import override

from recsys.runs.notices import PACKAGE, MessageFormatter, PlainFormatter, quiet_libraries
from recsys.runs.termination import termination_of

VERBOSE_LOGGERS = ("lightning.pytorch", "lightning.fabric")
"""Loggers whose notes at the start of every training say nothing about the run; their warnings are kept."""
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Tee:
    """Standard output that also hands each whole line to a log handler, without colours.

    Lines that redraw what stands on the screen (progress bars) are shown and not kept.
    """

    def __init__(self, shown: Any, kept: logging.Handler) -> None:
        self.shown = shown
        self.kept = kept
        self.rest = ""

    def write(self, text: str) -> int:
        """Show the text, keep the lines that it completes."""
        self.shown.write(text)
        *lines, self.rest = (self.rest + text).split("\n")
        for line in map(self._plain, lines):
            if line and "\x1b" not in line:
                self.kept.handle(logging.LogRecord(PACKAGE, logging.INFO, __file__, 0, line, None, None))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        """Everything else is as the output that is shown."""
        return getattr(self.shown, name)

    @staticmethod
    def _plain(line: str) -> str:
        return COLOUR.sub("", line.rpartition("\r")[2]).rstrip()


class Keeper(logging.Handler):
    """Keep records in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


class RunLogFile(logging.FileHandler):
    """The file of a run's log. A record that cannot be written is an error with the path of the file."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, self.baseFilename) from error
        raise


class ConsoleLog(logging.StreamHandler[Any]):
    """Standard output as a log. An error of it, such as a closed pipe, ends the run as one of `print` does."""

    @override
    def handleError(self, record: logging.LogRecord) -> None:
        raise


@contextmanager
def keeping_log() -> Iterator[list[logging.LogRecord]]:
    """Keep what the package logs inside the block, for `log_again` once there is a file to log to."""
    ours, keeper = logging.getLogger(PACKAGE), Keeper()
    level = ours.level
    ours.setLevel(logging.INFO)
    ours.addHandler(keeper)
    try:
        yield keeper.records
    finally:
        ours.removeHandler(keeper)
        ours.setLevel(level)


def log_again(records: Iterable[logging.LogRecord]) -> None:
    """Log what was kept."""
    for record in records:
        logging.getLogger(record.name).handle(record)


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Keep at the end of the file `path` what the package logs and prints, and everybody's warnings, with times.

    What the package logs also goes to standard output, without tracebacks, and warnings of a user's own code to
    standard error. A failure inside is kept with its traceback and goes on. An interruption is kept with what to do:
    its message may have gone to a terminal that is closed.

    Args:
        path: the log, in the run folder.
    """
    everything, ours = logging.getLogger(), logging.getLogger(PACKAGE)
    file = RunLogFile(path, encoding="utf-8", errors="backslashreplace")
    file.setFormatter(PlainFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    console = ConsoleLog(sys.stdout)
    console.setFormatter(MessageFormatter("%(message)s"))
    levels = {logger: logger.level for logger in (ours, *map(logging.getLogger, VERBOSE_LOGGERS))}
    for logger in levels:
        logger.setLevel(logging.INFO if logger is ours else logging.WARNING)
    ours.addHandler(console)
    everything.addHandler(file)
    tee: Any = Tee(sys.stdout, file)
    try:
        with redirect_stdout(tee), quiet_libraries():
            yield
    except BaseException as error:
        with suppress(OSError):  # a full disk: the error itself goes on
            file.handle(_record(error, path.parent))
        raise
    finally:
        everything.removeHandler(file)
        ours.removeHandler(console)
        for logger, level in levels.items():
            logger.setLevel(level)
        with suppress(OSError):  # a record that could not be written was an error already
            file.close()


def _record(error: BaseException, folder: Path) -> logging.LogRecord:
    ended = termination_of(error)
    told = ended.word if ended else "interrupted" if isinstance(error, KeyboardInterrupt) else ""
    told = f"{told}; to go on: the same command with run={folder}" if told else "failed"
    trace = (type(error), error, error.__traceback__)
    return logging.LogRecord(PACKAGE, logging.ERROR, __file__, 0, told, None, trace)
