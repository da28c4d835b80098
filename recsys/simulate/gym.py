"""A Gymnasium vector environment over a simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gymnasium import Space, spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from recsys.simulate.simulator import Simulator, observed_fields, show, with_rows
from recsys.types.slates import Slates


class SlateVectorEnv(VectorEnv[dict[str, np.ndarray], np.ndarray, np.ndarray]):
    """`B` users as `B` environments: an action is a slate, a reward what the whole slate earned.

    Observations are what policies see: the fields of the simulator's observation by name and, where asked, `history`,
    the last items had, the latest last, −1 before the first. A user whose session ends is replaced in the same step:
    the observation is the new user's, `infos["final_obs"]` holds the last ones, `infos["_final_obs"]` says whose
    (Gymnasium's `SAME_STEP`).

    Args:
        simulator: whose users they are.
        users: `B`.
        slots: `S`; an action holds an item for each. An item that comes again in a slate leaves its slot empty.
        history: items of a history that are observed; 0 leaves the history out.
    """

    def __init__(self, simulator: Simulator[Any], users: int, slots: int, history: int = 0) -> None:
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.simulator = simulator
        self.num_envs = users
        self.history = history
        self.generator = torch.Generator().manual_seed(0)
        self._start(simulator.reset(users, self.generator))
        seen = {name: _space(value[0]) for name, value in self._observed().items()}
        self.single_observation_space = spaces.Dict(seen)
        self.single_action_space = spaces.MultiDiscrete(np.full(slots, simulator.num_items))
        self.observation_space = batch_space(self.single_observation_space, users)
        self.action_space = batch_space(self.single_action_space, users)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Start with fresh users; equal seeds give equal answers, None goes on with the randomness there is."""
        if seed is not None:
            self.generator.manual_seed(seed)
        self._start(self.simulator.reset(self.num_envs, self.generator))
        return self._observed(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Show each user a slate; nothing is ever truncated, as sessions end by themselves."""
        items = torch.as_tensor(np.asarray(actions)).long().unsqueeze(1)
        again = (items.unsqueeze(-1) == items.unsqueeze(-2)).tril(-1).any(-1)
        slates = Slates(items.masked_fill(again, -1), torch.zeros(items.shape))
        self.state, transition = show(self.simulator, self.state, self.context, slates, self.generator)
        self.context, done = transition.next_context, transition.done
        infos: dict[str, Any] = {}
        if done.any():
            infos = {"final_obs": self._observed(), "_final_obs": done.numpy()}
            self._start(with_rows(self.state, self.simulator.reset(self.num_envs, self.generator), done))
        reward = transition.feedback.reward.sum((1, 2)).double().numpy()
        return self._observed(), reward, done.numpy(), np.zeros(self.num_envs, dtype=bool), infos

    def _start(self, state: Any) -> None:
        self.state, self.context = state, self.simulator.observe(state)

    def _observed(self) -> dict[str, np.ndarray]:
        context = self.context
        seen = {name: value.numpy() for name, value in observed_fields(context).items()}
        return seen | {"history": context.history.latest(self.history, -1).numpy()} if self.history else seen


def _space(value: np.ndarray) -> Space[Any]:
    if np.issubdtype(value.dtype, np.integer):
        return spaces.Box(-1, np.iinfo(value.dtype).max, value.shape, value.dtype)
    return spaces.Box(-np.inf, np.inf, value.shape, value.dtype)
