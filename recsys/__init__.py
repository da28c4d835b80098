"""Recommenders that generate what a user sees next and learn from reward.

The names below are loaded when first asked for, so that `import recsys` costs nothing and pulls in no heavy library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recsys.configuration import configuration_folder
    from recsys.data.context import Context
    from recsys.data.feedback import Feedback
    from recsys.data.jagged import Jagged
    from recsys.data.slates import Slates
    from recsys.policies.policy import ItemPolicy, Policy

__version__ = "0.1.0"

__all__ = [
    "Context",
    "Feedback",
    "ItemPolicy",
    "Jagged",
    "Policy",
    "Slates",
    "configuration_folder",
]

_HOME = {
    "Context": "recsys.data.context",
    "Feedback": "recsys.data.feedback",
    "ItemPolicy": "recsys.policies.policy",
    "Jagged": "recsys.data.jagged",
    "Policy": "recsys.policies.policy",
    "Slates": "recsys.data.slates",
    "configuration_folder": "recsys.configuration",
}


def __getattr__(name: str) -> Any:
    """Load a public name from the module that holds it."""
    if name not in _HOME:
        raise AttributeError(f"module 'recsys' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
