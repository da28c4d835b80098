"""Dataclasses that the parts of the library exchange: requests, slates, feedback, examples and rollouts.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.types.context import Context
    from recsys.types.example import Example
    from recsys.types.feedback import Channel, ChannelKind, Feedback
    from recsys.types.jagged import Jagged
    from recsys.types.preference_pairs import PreferencePairs
    from recsys.types.record import TensorRecord
    from recsys.types.rollout import Rollout
    from recsys.types.session_context import SessionContext
    from recsys.types.slates import SamplingMethod, Slates
    from recsys.types.trajectory import Trajectory
    from recsys.types.transition import Transition

__all__ = [
    "Channel",
    "ChannelKind",
    "Context",
    "Example",
    "Feedback",
    "Jagged",
    "PreferencePairs",
    "Rollout",
    "SamplingMethod",
    "SessionContext",
    "Slates",
    "TensorRecord",
    "Trajectory",
    "Transition",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "context": ["Context"],
        "example": ["Example"],
        "feedback": ["Channel", "ChannelKind", "Feedback"],
        "jagged": ["Jagged"],
        "preference_pairs": ["PreferencePairs"],
        "record": ["TensorRecord"],
        "rollout": ["Rollout"],
        "session_context": ["SessionContext"],
        "slates": ["SamplingMethod", "Slates"],
        "trajectory": ["Trajectory"],
        "transition": ["Transition"],
    },
)
