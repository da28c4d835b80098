from __future__ import annotations

from tests.run_fixtures import chain, prepared, train

__all__ = ["chain", "prepared", "train"]
