"""Run one policy in one simulator with one seed; `Oracle` is the policy that knows every item's true value."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.policies.bandits.greedy import Greedy
from recsys.policies.policy import Policy
from recsys.policies.scorer import OnlineLearner
from recsys.simulate.simulator import Simulator
from recsys.types.context import Context
from recsys.types.slates import Slates

TRUTH = "truth"
"""The feature under which an oracle finds what each item is worth now."""


class Oracle(Greedy):
    """The items that are worth most to the user at this step, best first; it does not look ahead.

    Args:
        num_items: `N`.
    """

    needs_truth = True

    def __init__(self, num_items: int) -> None:
        super().__init__(_Truth(num_items))


class _Truth:
    def __init__(self, num_items: int) -> None:
        self.num_items = num_items

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """What the bench says."""
        return context.features[TRUTH]


SAMPLES_AT_ONCE = 256
"""Slates a request in memory."""


@dataclass(frozen=True)
class EpisodeConfig:
    """What every policy of a comparison plays.

    Args:
        users: `B`, all at once.
        steps: `T`, slates a user is shown unless the session is over before.
        slots: `S`, of a slate.
        slot_draws: slates drawn a request to estimate with which probability each slot holds its item; 0 for none.
    """

    users: int
    steps: int
    slots: int
    slot_draws: int = 0


@dataclass(frozen=True)
class Trajectory:
    """What came of it, step by step and user by user.

    Args:
        items: `[T, B, S]`, what was shown; −1 where nothing was.
        log_prob: `[T, B, S]`, nats, of each slot given the slots before it.
        reward: `[T, B, S]`, what each slot earned.
        active: `[T, B]`, 1 where the user's session was not over yet.
        diversity: `[T, B]`, mean distance of the items of a slate; 0 for fewer than two.
        seconds: the policy's own time for all decisions.
        slot_share: `[T, B, S]`, estimated probability of each item at its slot, whatever else is in the slate; None
            where it was not asked for.
    """

    items: Int[Tensor, "T B S"]
    log_prob: Float[Tensor, "T B S"]
    reward: Float[Tensor, "T B S"]
    active: Float[Tensor, "T B"]
    diversity: Float[Tensor, "T B"]
    seconds: float
    slot_share: Float[Tensor, "T B S"] | None = None


def run_episode(simulator: Simulator[Any], policy: Policy, game: EpisodeConfig, seed: int) -> Trajectory:
    """Show slates, let users answer, let the policy learn from the answers of all users, and again.

    The world's randomness depends on the seed only, not on the policy, so that two policies meet the same users with
    the same luck (common random numbers).

    Args:
        simulator: the world.
        policy: learns after every step if it can; one with `needs_truth` is told what every item is worth (`Oracle`).
        game: how many users, steps and slots.
        seed: of the world's randomness and, apart from it, the policy's.
    """
    world, own = torch.Generator().manual_seed(2 * seed), torch.Generator().manual_seed(2 * seed + 1)
    beside = torch.Generator().manual_seed(seed)
    state = simulator.reset(game.users, world)
    parts: list[tuple[Tensor, ...]] = []
    shares: list[Tensor] = []
    seconds = 0.0
    for _ in range(game.steps):
        context = simulator.observe(state)
        if getattr(policy, "needs_truth", False):
            context = replace(context, features={**context.features, TRUTH: simulator.scores(state)})
        started = time.perf_counter()
        slates = policy.sample(context, 1, game.slots, own)
        seconds += time.perf_counter() - started
        if game.slot_draws:
            shares.append(slot_share(policy, context, slates, game.slot_draws, beside))
        diversity = in_slate_distance(simulator.vectors(state, slates.items[:, 0]), slates)
        after, feedback = simulator.step(state, slates, world)
        if isinstance(policy, OnlineLearner):
            policy.update(context, Slates(_of_active(slates.items, state.done), slates.log_prob), feedback, own)
        parts.append(
            (slates.items[:, 0], slates.log_prob[:, 0], feedback.reward[:, 0], (~state.done).float(), diversity)
        )
        state = after
    items, log_prob, reward, active, distances = (torch.stack(part) for part in zip(*parts, strict=True))
    slot_shares = torch.stack(shares) if shares else None
    return Trajectory(items, log_prob, reward, active, distances, seconds, slot_shares)


def slot_share(
    policy: Policy, context: Context, slates: Slates, draws: int, generator: torch.Generator
) -> Float[Tensor, "B S"]:
    """With which probability each slot holds its item, whatever else is in the slate, estimated from further draws.

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
    """Mean Euclidean distance between the items of each slate; 0 where there are fewer than two."""
    shown = slates.items[:, 0] >= 0
    pairs = (shown.unsqueeze(1) & shown.unsqueeze(2)).float().triu(1)
    return (torch.cdist(vectors, vectors) * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def _of_active(items: Tensor, done: Tensor) -> Tensor:
    """Nobody looks at what is shown after the session: nothing is learnt from it."""
    return items.masked_fill(done.view(-1, 1, 1), -1)
