"""What the bench keeps of an episode: slates, rewards, diversity, time and the propensities of slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.policies.policy import Policy
from recsys.rollouts.contract import check_finite, check_shape
from recsys.rollouts.episode import EpisodeConfig, EpisodeGenerators, Step, play, policy_seed
from recsys.simulate.simulator import Simulator
from recsys.types.context import Context
from recsys.types.slates import Slates

SAMPLES_AT_ONCE = 256
"""Slates a request in memory."""


@dataclass(frozen=True)
class EpisodeRecord:
    """One policy with one seed, step by step and user by user; `T · B · S` rows of 16 bytes, and little more.

    Args:
        items: `[T, B, S]`, what was shown; −1 where nothing was.
        log_prob: `[T, B, S]`, nats, of each slot given the slots before it.
        reward: `[T, B, S]`, what each slot earned.
        active: `[T, B]`, 1 where the user's session was not over before the step.
        diversity: `[T, B]`, mean distance of the items of a slate; 0 for fewer than two.
        seconds: the policy's own time for all decisions.
        slot_propensity: `[T, B, S]`, estimated probability of each item at its slot, whatever else is in the slate;
            None where it was not asked for.
    """

    items: Int[Tensor, "T B S"]
    log_prob: Float[Tensor, "T B S"]
    reward: Float[Tensor, "T B S"]
    active: Float[Tensor, "T B"]
    diversity: Float[Tensor, "T B"]
    seconds: float
    slot_propensity: Float[Tensor, "T B S"] | None = None


@torch.no_grad()
def record_episode(
    simulator: Simulator[Any],
    policy: Policy,
    episode: EpisodeConfig,
    seed: int,
    slot_draws: int = 0,
    name: str = "",
) -> EpisodeRecord:
    """Play one episode and keep what the bench reports.

    The simulator's randomness depends on the seed only, not on the policy, so that two policies meet the same users
    with the same luck. What a policy draws depends on the seed and its name.

    Args:
        simulator: whose users they are.
        policy: learns after every step if it can (`OnlineLearner`).
        episode: how many users, steps and slots.
        seed: of the simulator's randomness and, apart from it, the policy's; at least 0.
        slot_draws: further slates drawn a request to estimate with which probability each slot holds its item; 0 for
            none. They change nothing else.
        name: of the policy; policies of different names draw independently of each other.

    Raises:
        ContractError: the policy or the simulator breaks its contract.
    """
    apart = torch.Generator().manual_seed(policy_seed(seed, name, "slot_draws"))
    parts: list[tuple[Tensor, ...]] = []
    propensities: list[Tensor] = []
    seconds = 0.0
    for number, step in enumerate(play(simulator, policy, episode, EpisodeGenerators.seeded(seed, policy=name))):
        seconds += step.seconds
        parts.append(_kept(simulator, step, number))
        if slot_draws:
            shown = step.transition
            propensities.append(slot_propensity(policy, shown.context, shown.slates, slot_draws, apart))
    items, log_prob, reward, active, distances = (torch.stack(part) for part in zip(*parts, strict=True))
    estimated = torch.stack(propensities) if propensities else None
    return EpisodeRecord(items, log_prob, reward, active, distances, seconds, estimated)


def _kept(simulator: Simulator[Any], step: Step, number: int) -> tuple[Tensor, ...]:
    shown = step.transition
    items = shown.slates.items[:, 0]
    vectors = simulator.vectors(step.state, items)
    check_shape(vectors, (*items.shape, -1), f"{type(simulator).__name__}.vectors", number)
    distance = in_slate_distance(vectors, shown.slates)
    check_finite("distances between the vectors of shown items", distance, shown.active, number)
    slates, reward = shown.slates, shown.feedback.reward
    theirs = (slates.items, slates.log_prob, reward)  # tensors that policy and simulator may write to later
    return *(one[:, 0].clone() for one in theirs), shown.active.float(), distance


def slot_propensity(
    policy: Policy, context: Context, slates: Slates, draws: int, generator: torch.Generator
) -> Float[Tensor, "B S"]:
    """Estimate from further draws with which probability each slot holds its item, whatever else is in the slate.

    The slate that was shown is one of them, so that none is 0: `(1 + #{draws with the item there}) / (1 + draws)`.

    Args:
        policy: which showed the slates.
        context: to these requests.
        slates: one a request.
        draws: how many more, at least 1.
        generator: of the draws; apart from the policy's, whose luck stays as it was.
    """
    shown, slots = slates.items, slates.items.shape[2]
    alike = torch.zeros_like(shown[:, 0])
    for some in torch.arange(draws).split(SAMPLES_AT_ONCE):
        alike += (policy.sample(context, len(some), slots, generator).items == shown).sum(1)
    return (1 + alike) / (1 + draws)


def in_slate_distance(vectors: Float[Tensor, "B S D"], slates: Slates) -> Float[Tensor, " B"]:
    """Return the mean Euclidean distance between the items of each slate; 0 where there are fewer than two."""
    shown = slates.items[:, 0] >= 0
    pairs = (shown.unsqueeze(1) & shown.unsqueeze(2)).float().triu(1)
    return (torch.cdist(vectors, vectors) * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)
