"""Orders the events of one user that have the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Integer


@runtime_checkable
class TieBreaking(Protocol):
    """A rule that orders events of one user and one time."""

    def key(
        self, users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
    ) -> Integer[np.ndarray, " events"]:
        """A number for each event; smaller comes first."""
        ...


@dataclass(frozen=True)
class TieByItem:
    """One pseudo-random order of all items, the same for every user.

    It is itself a pattern: among equal times a model can learn which item comes first, and a user's last event is one
    that stands late in the order. On MovieLens-100K, where most leave-one-out targets share their day and many their
    second with the event before, it lifts transition counts from 0.111 to 0.120 NDCG@10 (mean of six seeds), and makes
    popularity depend more on the seed. `TieByEvent` has no such pattern.
    """

    def key(
        self, users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
    ) -> Integer[np.ndarray, " events"]:
        """A hash of item and seed."""
        return event_hash(np.zeros_like(users), items, seed)


@dataclass(frozen=True)
class TieByEvent:
    """A pseudo-random order of its own for every user, so that order among equal times says nothing."""

    def key(
        self, users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
    ) -> Integer[np.ndarray, " events"]:
        """A hash of user, item and seed."""
        return event_hash(users, items, seed)


def event_hash(
    users: Integer[np.ndarray, " events"], items: Integer[np.ndarray, " events"], seed: int
) -> Integer[np.ndarray, " events"]:
    """A fixed pseudo-random number (uint64) for each user, item and seed; the same on every machine and version.

    SplitMix64: the finaliser over the seed plus `user` golden-ratio steps, then again after adding the item.

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
