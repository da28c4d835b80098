"""Compare policies in simulators: what does each earn, with how much certainty?

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.bench.comparison import BenchResult, compare

__all__ = ["BenchResult", "compare"]

__getattr__, __dir__ = lazy_names(__name__, {"comparison": ["BenchResult", "compare"]})
