"""One policy in one world with one seed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.bench.oracle import TRUTH
from recsys.data.slates import Slates
from recsys.policies.policy import Policy
from recsys.policies.scorer import Learner
from recsys.simulate.simulator import Simulator


@dataclass(frozen=True)
class Game:
    """What every policy of a comparison plays.

    Args:
        users: `B`, all at once.
        steps: `T`, slates a user is shown unless the session is over before.
        slots: `S`, of a slate.
    """

    users: int
    steps: int
    slots: int


@dataclass(frozen=True)
class Played:
    """What came of it, step by step and user by user.

    Args:
        items: `[T, B, S]`, what was shown; −1 where nothing was.
        log_prob: `[T, B, S]`, nats, of each slot given the slots before it.
        reward: `[T, B, S]`, what each slot earned.
        active: `[T, B]`, 1 where the user's session was not over yet.
        diversity: `[T, B]`, mean distance of the items of a slate; 0 for fewer than two.
        seconds: the policy's own time for all decisions.
    """

    items: Int[Tensor, "T B S"]
    log_prob: Float[Tensor, "T B S"]
    reward: Float[Tensor, "T B S"]
    active: Float[Tensor, "T B"]
    diversity: Float[Tensor, "T B"]
    seconds: float


def play(simulator: Simulator[Any], policy: Policy, game: Game, seed: int) -> Played:
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
    state = simulator.reset(game.users, world)
    parts: list[tuple[Tensor, ...]] = []
    seconds = 0.0
    for _ in range(game.steps):
        context = simulator.observe(state)
        if getattr(policy, "needs_truth", False):
            context = replace(context, features={**context.features, TRUTH: simulator.scores(state)})
        started = time.perf_counter()
        slates = policy.sample(context, 1, game.slots, own)
        seconds += time.perf_counter() - started
        diversity = in_slate_distance(simulator.vectors(state, slates.items[:, 0]), slates)
        after, feedback = simulator.step(state, slates, world)
        if isinstance(policy, Learner):
            policy.update(context, Slates(_of_active(slates.items, state.done), slates.log_prob), feedback, own)
        parts.append(
            (slates.items[:, 0], slates.log_prob[:, 0], feedback.reward[:, 0], (~state.done).float(), diversity)
        )
        state = after
    items, log_prob, reward, active, distances = (torch.stack(part) for part in zip(*parts, strict=True))
    return Played(items, log_prob, reward, active, distances, seconds)


def in_slate_distance(vectors: Float[Tensor, "B S D"], slates: Slates) -> Float[Tensor, " B"]:
    """Mean Euclidean distance between the items of each slate; 0 where there are fewer than two."""
    shown = slates.items[:, 0] >= 0
    pairs = (shown.unsqueeze(1) & shown.unsqueeze(2)).float().triu(1)
    return (torch.cdist(vectors, vectors) * pairs).sum((1, 2)) / pairs.sum((1, 2)).clamp(min=1)


def _of_active(items: Tensor, done: Tensor) -> Tensor:
    """Nobody looks at what is shown after the session: nothing is learnt from it."""
    return items.masked_fill(done.view(-1, 1, 1), -1)
