"""How the C library treats the memory of tensors that come and go with every training step."""

from __future__ import annotations

import ctypes
import sys

MMAP_MAX, TRIM_THRESHOLD = -4, -1
"""glibc's names for its options (mallopt)."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks for the next step instead of returning them to the system.

    By default each tensor over 32 MiB, and often far smaller ones, is mapped anew and faulted in page by page at every
    step. A next-item step on MovieLens-100K takes a sixth less time so (docs/log.md, "Speed"). The process then holds
    its largest step's memory until it ends.

    Returns:
        Whether it was told: false where the C library is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    return bool(library.mallopt(MMAP_MAX, 0) and library.mallopt(TRIM_THRESHOLD, 2**31 - 1))
