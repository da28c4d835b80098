"""RecSim's two worlds as they come, one user at a time, without the TensorFlow they import but do not need here."""

from __future__ import annotations

import sys
import types
from typing import Any

import gin
import numpy as np

sys.modules.setdefault("gin.tf", gin)
gin.tf = gin
runner = types.ModuleType("recsim.simulator.runner_lib")
runner.load_gin_configs = lambda *_: None
sys.modules.setdefault("recsim.simulator.runner_lib", runner)

from recsim.environments import interest_evolution, long_term_satisfaction  # noqa: E402

CANDIDATES, SLOTS = 10, 2
WORLDS = {"interest evolution": interest_evolution, "long-term satisfaction": long_term_satisfaction}


def make(world: str, seed: int) -> Any:
    """An environment with new candidates at every step; everything drawn follows from the seed."""
    np.random.seed(seed)
    settings = {"num_candidates": CANDIDATES, "slate_size": SLOTS, "resample_documents": True, "seed": seed}
    return WORLDS[world].create_environment(settings)


def sessions(world: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Whole sessions under the first slots: their number of steps, what they earned, and where the user ended.

    Candidates are drawn anew at every step, so that the first ones are as good as random ones.
    """
    environment = make(world, seed)
    found: dict[str, list[float]] = {"steps": [], "earned": [], "clicks": [], "ends": []}
    for _ in range(count):
        environment.reset()
        steps, earned, clicks, done = 0, 0.0, 0, False
        while not done:
            _, reward, done, _ = environment.step(np.arange(SLOTS))
            steps, earned, clicks = steps + 1, earned + reward, clicks + (reward > 0)
        state = environment.environment.user_model._user_state
        ends = state.user_interests.mean() if world == "interest evolution" else state.net_positive_exposure
        for name, value in (("steps", steps), ("earned", earned), ("clicks", clicks), ("ends", ends)):
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}
