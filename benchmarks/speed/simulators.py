"""RecSim's two worlds against RecSim itself: equal in distribution, then user-steps a second."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from scipy.stats import ks_2samp

from harness import Result, Timing, alternate, compare, timed
from recsim_worlds import CANDIDATES, SLOTS, make, sessions
from recsys.simulate.interest_evolution import InterestEvolution
from recsys.simulate.long_term_satisfaction import LongTermSatisfaction
from recsys.types.slates import Slates

OURS = {"interest evolution": InterestEvolution(CANDIDATES), "long-term satisfaction": LongTermSatisfaction(CANDIDATES)}
USERS, STEPS, THEIR_STEPS = 4096, 100, 4000
SESSIONS, SMALLEST_P = 2000, 1e-3


def run(rounds: int) -> list[Result]:
    """Whole sessions are compared by Kolmogorov and Smirnov's test, statistic by statistic; then both are timed."""
    return [against(world, rounds) for world in OURS]


def against(world: str, rounds: int) -> Result:
    """One world: the time of a user-step."""
    p = equal(world)
    timings = alternate(
        {"ours": lambda: walk(world), "RecSim": lambda: walk_recsim(world)}, rounds, measure=lambda call: call()
    )
    return compare(
        timings,
        "RecSim",
        benchmark="simulator",
        case=f"{world}, {USERS:,} users",
        goal=300.0,
        checked=f"a million user-steps; {SESSIONS:,} sessions of each: least p of a two-sample test {p:.3f}",
    )


def equal(world: str) -> float:
    """The least p-value over the statistics of whole sessions.

    Raises:
        AssertionError: it is below `SMALLEST_P`.
    """
    theirs, own = sessions(world, SESSIONS, seed=0), our_sessions(world, SESSIONS, seed=0)
    tests = {name: float(ks_2samp(own[name], theirs[name]).pvalue) for name in theirs}
    if min(tests.values()) < SMALLEST_P:
        raise AssertionError(f"{world}: sessions differ from RecSim's: p = {tests}")
    return min(tests.values())


def our_sessions(world: str, users: int, seed: int) -> dict[str, np.ndarray]:
    """What `recsim_worlds.sessions` counts, of all users together."""
    simulator, generator = OURS[world], torch.Generator().manual_seed(seed)
    state, slates = simulator.reset(users, generator), first_slots(users)
    steps, earned, clicks = (torch.zeros(users, dtype=torch.float64) for _ in range(3))
    while not state.done.all():
        steps += ~state.done
        state, feedback, _ = simulator.step(state, slates, generator)
        reward = feedback.reward.sum((1, 2))
        earned += reward
        clicks += reward > 0
    ends = state.interests.mean(1) if world == "interest evolution" else state.exposure
    return {"steps": steps.numpy(), "earned": earned.numpy(), "clicks": clicks.numpy(), "ends": ends.numpy()}


def first_slots(users: int) -> Slates:
    """The first candidates, which are as good as random ones."""
    items = torch.arange(SLOTS).expand(users, 1, SLOTS)
    return Slates(items, torch.zeros(items.shape))


def walk(world: str) -> Timing:
    """The time of a million user-steps, from 4,096 users who never leave; what a policy may see is made each time."""
    forever = {"budget": 1e9} if world == "interest evolution" else {"steps": 10**9}
    simulator, generator = replace(OURS[world], **forever), torch.Generator().manual_seed(0)
    state, slates = simulator.reset(USERS, generator), first_slots(USERS)

    def steps() -> None:
        nonlocal state
        for _ in range(STEPS):
            state, _, _ = simulator.step(state, slates, generator)
            simulator.observe(state)

    return of_a_million(timed(steps), USERS * STEPS)


def walk_recsim(world: str) -> Timing:
    """The same of RecSim's one user, who is replaced when done."""
    environment = make(world, seed=0)
    environment.reset()

    def steps() -> None:
        for _ in range(THEIR_STEPS):
            if environment.step(np.arange(SLOTS))[2]:
                environment.reset()

    return of_a_million(timed(steps), THEIR_STEPS)


def of_a_million(timing: Timing, steps: int) -> Timing:
    """The same work's time for a million user-steps."""
    return Timing(timing.wall * 1e6 / steps, timing.cpu * 1e6 / steps)
