"""The one look of progress bars outside of training."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress


def progress() -> Progress:
    """A progress bar on standard error that vanishes when done; standard output stays for results."""
    return Progress(console=Console(stderr=True), transient=True)
