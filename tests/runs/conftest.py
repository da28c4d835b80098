from __future__ import annotations

from tests.in_process import played_here
from tests.run_fixtures import chain, prepared, train

__all__ = ["chain", "played_here", "prepared", "train"]
