"""The one look of progress bars outside of training."""

from __future__ import annotations

from rich.console import Console
from rich.progress import Progress


def progress() -> Progress:
    """A bar on standard error that vanishes when done; none where that is no terminal, and never standard output."""
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)
