"""Collect what a policy does in a simulator as a trajectory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from recsys.policies.policy import Policy
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, Step, play
from recsys.simulate.simulator import Simulator
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.trajectory import Trajectory

Critic = Callable[[Context], Tensor]
"""What is expected of each of `B` requests from now on: `[B]`, in the reward's unit."""


@torch.no_grad()
def collect(
    simulator: Simulator[Any],
    policy: Policy,
    config: EpisodeConfig,
    generators: EpisodeGenerators,
    state: Any = None,
    critic: Critic | None = None,
) -> Trajectory:
    """Play `config.steps` steps of a policy and return them; equal generators give equal trajectories.

    Needs memory for all observations of `T · B` requests at once, and for what the policy needs for `B` of them.

    Args:
        simulator: whose users they are.
        policy: an `OnlineLearner` learns after every step.
        config: how many users, steps and slots.
        generators: randomness, on the device where all of it takes place.
        state: where the users stand; None begins with fresh users.
        critic: gives the trajectory its values, one step at a time; None for none.
    """
    return trajectory_of(list(play(simulator, policy, config, generators, state)), critic)


@torch.no_grad()
def trajectory_of(steps: Sequence[Step], critic: Critic | None = None) -> Trajectory:
    """Return consecutive steps of an episode as a trajectory.

    Args:
        steps: at least one, in their order.
        critic: see `collect`.
    """
    transitions = [step.transition for step in steps]
    contexts = [*(one.context for one in transitions), transitions[-1].next_context]
    latents = {name: torch.stack([step.latents[name] for step in steps]) for name in steps[0].latents}
    return Trajectory(
        Example.cat([Example(one.context, one.slates, one.feedback) for one in transitions]),
        torch.stack([one.active for one in transitions]),
        torch.stack([one.done for one in transitions]),
        None if critic is None else torch.stack([critic(context) for context in contexts]),
        latents,
    )
