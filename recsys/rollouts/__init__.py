"""Episodes of policies in simulators: one loop, trajectories, buffers and loaders made of it.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.rollouts.buffer import ReplayBuffer
    from recsys.rollouts.collection import collect
    from recsys.rollouts.data import SimulatorData
    from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, play

__all__ = [
    "EpisodeConfig",
    "EpisodeGenerators",
    "ReplayBuffer",
    "SimulatorData",
    "collect",
    "play",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "buffer": ["ReplayBuffer"],
        "collection": ["collect"],
        "data": ["SimulatorData"],
        "episode": ["EpisodeConfig", "EpisodeGenerators", "play"],
    },
)
