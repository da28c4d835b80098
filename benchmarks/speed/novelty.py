"""Users who seek novelty: user-steps a second of the simulator, of an agent that plays, and of one that learns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from harness import Result, Timing, alternate
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.hierarchical.critic import SessionCritic
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.policies.hierarchical.scorer import ConditionedScorer
from recsys.policies.hierarchical.two_level import TwoLevelPolicy
from recsys.rollouts.collection import collect
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators
from recsys.simulate.novelty_seeking import NoveltySeeking
from recsys.systems.actor_critic import ActorCritic, LatentLevel
from recsys.types.trajectory import Trajectory

GOAL = 100_000.0
"""User-steps a second with learning, on two cores."""


@dataclass(frozen=True)
class Sizes:
    """Of a measurement; learning is as in `experiment=novelty/simulated`.

    Args:
        items: of the catalogue.
        episode: users, steps and slots.
        batch: users of a minibatch.
        passes: over what was collected.
        stride: of the steps of which catalogues are scored.
    """

    items: int = 1000
    episode: EpisodeConfig = field(default_factory=lambda: EpisodeConfig(500, 50, 5))
    batch: int = 32
    passes: int = 4
    stride: int = 10


def run(rounds: int) -> list[Result]:
    """A line each for the world with random slates, for the two levels that play, and for those that learn."""
    return measured(Sizes(), rounds)


def measured(sizes: Sizes, rounds: int) -> list[Result]:
    """See `run`."""
    world = NoveltySeeking(sizes.items)
    system = agent(world, sizes.stride)
    sides: dict[str, Callable[[], object]] = {
        "random slates": lambda: played(world, UniformPolicy(sizes.items), sizes),
        "two levels play": lambda: played(world, system.policy, sizes, system),
        "two levels learn": lambda: learned(world, system, sizes),
    }
    timings = alternate(sides, rounds)
    steps = sizes.episode.users * sizes.episode.steps
    return [line(name, timings[name], steps, sizes) for name in sides]


def agent(world: NoveltySeeking, stride: int) -> ActorCritic:
    """The two levels, untrained, and an optimizer of its own."""
    torch.manual_seed(0)
    profile = len(world.meaning)
    policy = TwoLevelPolicy(
        IntentNetwork(world.items, profile, concentration=20.0), ConditionedScorer(world.items, profile), sharpness=6.0
    )
    system = ActorCritic(
        policy,
        SessionCritic(world.items, profile),
        partial(torch.optim.Adam, lr=0.01),
        latent=LatentLevel(),
        choice_weight=10.0,
        stride=stride,
    )
    system.log_dict = lambda *values, **options: None  # type: ignore[method-assign]
    return system


def played(world: NoveltySeeking, policy: object, sizes: Sizes, system: ActorCritic | None = None) -> Trajectory:
    """What is collected in an epoch, with values where there is a critic."""
    generators = EpisodeGenerators.seeded(0)
    return collect(world, policy, sizes.episode, generators, critic=system and system.value)  # type: ignore[arg-type]


def learned(world: NoveltySeeking, system: ActorCritic, sizes: Sizes) -> None:
    """An epoch: collect, then all passes over it."""
    trajectory = played(world, system.policy, sizes, system)
    optimizer = system.configure_optimizers()
    shuffle = torch.Generator().manual_seed(0)
    number = 0
    for _ in range(sizes.passes):
        for rows in torch.randperm(trajectory.users, generator=shuffle).split(sizes.batch):
            optimizer.zero_grad()
            system.training_step(trajectory.select(rows), number).backward()
            optimizer.step()
            number += 1


def line(name: str, timings: list[Timing], steps: int, sizes: Sizes) -> Result:
    """User-steps a second of processor time."""
    rates = [steps / timing.cpu for timing in timings]
    case = f"{name}, {sizes.items:,} items, {sizes.episode.users} users"
    goal = GOAL if name == "two levels learn" else None
    median = statistics.median(rates)
    detail = f"{steps:,} user-steps a round, slates of {sizes.episode.slots}, processor time"
    return Result("novelty", case, median, min(rates), max(rates), "user-steps/s", goal, True, detail)
