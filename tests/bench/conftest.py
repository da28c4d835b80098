from __future__ import annotations

from tests.in_process import played_here

__all__ = ["played_here"]
