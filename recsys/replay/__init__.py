"""Off-policy evaluation: estimate from a log what another policy would have earned.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.replay.evaluation import evaluate
    from recsys.replay.options import ReplayOptions

__all__ = ["ReplayOptions", "evaluate"]

__getattr__, __dir__ = lazy_names(__name__, {"evaluation": ["evaluate"], "options": ["ReplayOptions"]})
