"""Off-policy evaluation: what would another policy have earned on this log?

`recsys.replay.evaluate` is loaded when first asked for, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.replay.evaluation import evaluate
    from recsys.replay.options import ReplayOptions

__all__ = ["ReplayOptions", "evaluate"]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in __all__:
        raise AttributeError(f"module 'recsys.replay' has no attribute {name!r}")
    return getattr(import_module("recsys.replay.evaluation"), name)
