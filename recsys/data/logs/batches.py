"""Batches of logged actions, slates and episodes, and the base classes of the logs that give them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.tables.tensors import RawIds
from recsys.types.context import Context


class TableLog:
    """A log whose rows lie in a table.

    Attributes:
        frame: the table, not yet read.
    """

    frame: pl.LazyFrame

    @property
    def columns(self) -> list[str]:
        """Of the table."""
        return self.frame.collect_schema().names()


class LogWithActions(TableLog):
    """A log of single actions, one a round or several in an episode.

    Attributes:
        actions: what can be chosen, the rows being the indices: `action` (raw ids, rising) and any feature.
    """

    actions: pl.DataFrame

    @property
    def num_actions(self) -> int:
        """`A`."""
        return len(self.actions)

    @cached_property
    def ids(self) -> RawIds:
        """Of the actions."""
        return RawIds(self.actions["action"])


class LogWithUsers(TableLog):
    """A log whose rows may have users.

    Attributes:
        users: raw ids, rising; None where rows stand alone.
    """

    users: pl.Series | None

    @cached_property
    def user_ids(self) -> RawIds | None:
        """Of the users; None where rows stand alone."""
        return None if self.users is None else RawIds(self.users)


@dataclass(frozen=True)
class LoggedActions:
    """`n` rounds, of `A` actions.

    Args:
        request: `[n]`, rows of the log that they are, from 0.
        action: `[n]`, what was chosen, in `0 … A − 1`.
        reward: `[n]`, what it earned.
        propensity: `[n]`, in (0, 1], with which the logging policy chose it; None where the log does not say.
        user: `[n]`, whose rounds depend on each other, from 0; None where each round stands alone.
        context: `[n, F]`, what was known before; None where the log does not say.
        candidates: `[n, A]`, true at what could have been chosen; None where everything could.
    """

    request: Int[Tensor, " n"]
    action: Int[Tensor, " n"]
    reward: Float[Tensor, " n"]
    propensity: Float[Tensor, " n"] | None = None
    user: Int[Tensor, " n"] | None = None
    context: Float[Tensor, "n F"] | None = None
    candidates: Bool[Tensor, "n A"] | None = None

    def __len__(self) -> int:
        return len(self.action)


@dataclass(frozen=True)
class LoggedSlates:
    """`n` requests, slates of up to `S` slots, flush left.

    Args:
        request: `[n]`, rows of the log that they are, from 0.
        items: `[n, S]`, item indices, −1 in empty slots.
        reward: `[n, S]`, what each slot earned, 0 in empty slots; a log that has one reward a slate has it in slot 0.
        propensity: `[n]`, in (0, 1], of each whole slate under the logging policy.
        prefix: `[n, S]`, of each slot given the slots before it, 1 in empty slots.
        slot: `[n, S]`, of each item at its slot, whatever else is in the slate, 1 in empty slots.
        user: `[n]`, whose requests depend on each other, from 0; None where each stands alone.
        context: what the policy saw; None where the log does not say.
        by_slot: whether each slot has a reward of its own.
    """

    request: Int[Tensor, " n"]
    items: Int[Tensor, "n S"]
    reward: Float[Tensor, "n S"]
    propensity: Float[Tensor, " n"] | None = None
    prefix: Float[Tensor, "n S"] | None = None
    slot: Float[Tensor, "n S"] | None = None
    user: Int[Tensor, " n"] | None = None
    context: Context | None = None
    by_slot: bool = True

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class LoggedEpisodes:
    """`n` episodes of up to `T` steps, flush left, of `A` actions.

    Args:
        episode: `[n]`, the number of each in the log, from 0.
        action: `[n, T]`, in `0 … A − 1`; anything after the end.
        reward: `[n, T]`; 0 after the end.
        propensity: `[n, T]`, in (0, 1], with which the logging policy chose the action; 1 after the end.
        mask: `[n, T]`, true at steps that the episode has.
        context: `[n, T, F]`, the state before each action; None where the log does not say.
        done: `[n]`, true where the episode ended after its last step, false where the log was cut off; None where all
            ended.
    """

    episode: Int[Tensor, " n"]
    action: Int[Tensor, "n T"]
    reward: Float[Tensor, "n T"]
    propensity: Float[Tensor, "n T"]
    mask: Bool[Tensor, "n T"]
    context: Float[Tensor, "n T F"] | None = None
    done: Bool[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.action)
