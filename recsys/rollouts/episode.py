"""The loop of a policy in a simulator: observe, show slates, take in the feedback, learn, again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from recsys.policies.baselines.oracle import Oracle, OracleContext
from recsys.policies.latent import LatentPolicy, Latents
from recsys.policies.policy import Policy
from recsys.policies.scorer import update
from recsys.protocols import require_protocol
from recsys.ranges import at_least
from recsys.rollouts.contract import check_feedback, check_finite, check_observation, check_shape, check_slates, sampled
from recsys.simulate.simulator import Simulator, show
from recsys.types.context import Context
from recsys.types.transition import Transition


@dataclass(frozen=True)
class EpisodeConfig:
    """How many users see how many slates.

    Args:
        users: `B`, all at once.
        steps: `T`, slates a user is shown unless the session is over before.
        slots: `S`, of a slate.

    Raises:
        ConfigurationError: one of them is below 1.
    """

    users: int
    steps: int
    slots: int

    def __post_init__(self) -> None:
        at_least(1, users=self.users, steps=self.steps, slots=self.slots)


@dataclass(frozen=True)
class EpisodeGenerators:
    """The randomness of an episode, the simulator's apart from the policy's.

    Two policies that are played with equal seeds meet the same users with the same luck, whatever they draw themselves
    (common random numbers). Policies of different names draw independently of each other.

    Args:
        simulator: of users and their feedback.
        policy: of slates and of what the policy draws while it learns.
    """

    simulator: torch.Generator
    policy: torch.Generator

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu", policy: str | None = None) -> EpisodeGenerators:
        """Return the simulator's generator, which depends on the seed alone, and the policy's.

        Simulators have even seeds and policies odd ones, so that no policy shares the stream of a simulator.

        Args:
            seed: at least 0 and below 2³¹.
            device: where the users and the policy are.
            policy: name of the policy, on which its generator depends too (`policy_seed`); None where only one policy
                is played.
        """
        own = 2 * seed + 1 if policy is None else policy_seed(seed, policy)
        return cls(torch.Generator(device).manual_seed(2 * seed), torch.Generator(device).manual_seed(own))

    def state_dict(self) -> dict[str, Tensor]:
        """Return where both streams stand."""
        return {"simulator": self.simulator.get_state(), "policy": self.policy.get_state()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where other generators stood."""
        self.simulator.set_state(state["simulator"].cpu())
        self.policy.set_state(state["policy"].cpu())


def policy_seed(seed: int, policy: str, purpose: str = "") -> int:
    """Return the seed of a policy's own generator: an odd number of 32 bits from a hash of all that is given.

    It does not depend on which other policies there are. A generator of the CPU reads no more than 32 bits.

    Args:
        seed: of the episode.
        policy: its name.
        purpose: what is drawn, for generators apart from the one that the policy acts on.

    >>> policy_seed(0, "random"), policy_seed(1, "random"), policy_seed(0, "greedy")
    (2713301225, 1116280231, 1427915579)
    """
    digest = hashlib.sha256(json.dumps([seed, policy, purpose]).encode()).digest()
    return int.from_bytes(digest[:4], "big") | 1


@dataclass(frozen=True)
class Step:
    """One step of an episode.

    Args:
        state: where the users stood before it.
        transition: what happened.
        after: where they stand then.
        seconds: how long the policy took to choose the slates.
        latents: latent actions that the slates follow from; none unless the policy is a `LatentPolicy`.
    """

    state: Any
    transition: Transition
    after: Any
    seconds: float
    latents: Latents = field(default_factory=dict)


def play(
    simulator: Simulator[Any],
    policy: Policy,
    config: EpisodeConfig,
    generators: EpisodeGenerators,
    state: Any = None,
    latents: Latents | None = None,
) -> Iterator[Step]:
    """Yield `config.steps` steps of a policy; one that learns learns from each step after it was yielded.

    Users whose session is over are shown nothing and do nothing until the end. An `Oracle` sees what every item is
    worth; any other policy sees what the simulator observes.

    Args:
        simulator: whose users they are.
        policy: an `OnlineLearner` learns.
        config: how many users, steps and slots.
        generators: randomness, on the device where all of it takes place.
        state: where the users stand; None begins with fresh users.
        latents: of the last step before that state, of a `LatentPolicy`.

    Raises:
        ContractError: the policy shows slates, or the simulator answers feedback, that its contract excludes.
    """
    require_protocol(simulator, Simulator)
    require_protocol(policy, Policy, only=("sample",))
    state = simulator.reset(config.users, generators.simulator) if state is None else state
    context = simulator.observe(state)
    check_observation(context, config.users, type(simulator).__name__)
    for number in range(config.steps):
        seen: Context = context
        if isinstance(policy, Oracle):
            worth = simulator.scores(state)
            check_shape(worth, (len(seen), simulator.num_items), f"{type(simulator).__name__}.scores", number)
            check_finite("scores", worth, ~state.done, number)
            seen = OracleContext.of(context, worth)
        started = time.perf_counter()
        if isinstance(policy, LatentPolicy):
            answered, latents = policy.act(seen, latents, config.slots, generators.policy)
        else:
            answered = policy.sample(seen, 1, config.slots, generators.policy)
        seconds = time.perf_counter() - started
        slates = sampled(answered, type(policy).__name__)
        check_slates(slates, seen, config.slots, simulator.num_items, ~state.done, number)
        after, transition = show(simulator, state, seen, slates, generators.simulator)
        check_feedback(transition.feedback, transition.slates, transition.active, transition.done, number)
        yield Step(state, transition, after, seconds, latents or {})
        update(policy, transition, generators.policy)
        state, context = after, transition.next_context
