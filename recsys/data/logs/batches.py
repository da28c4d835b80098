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
    """A log whose rows are those of a table.

    Attributes:
        frame: the table, read when it is needed.
    """

    frame: pl.LazyFrame

    @property
    def columns(self) -> list[str]:
        """Return the columns of the table."""
        return self.frame.collect_schema().names()


class LogWithActions(TableLog):
    """A log of single actions, one a round or several in an episode.

    Attributes:
        actions: table of the possible actions, whose rows are their indices: `action` (raw ids, ascending) and any
            feature.
    """

    actions: pl.DataFrame

    @property
    def num_actions(self) -> int:
        """Return `A`, the number of possible actions."""
        return len(self.actions)

    @cached_property
    def ids(self) -> RawIds:
        """Return the mapping from raw ids of actions to indices."""
        return RawIds(self.actions["action"])


class LogWithUsers(TableLog):
    """A log whose rows may have users.

    Attributes:
        users: raw ids of the users, ascending; None where rows are independent.
    """

    users: pl.Series | None

    @cached_property
    def user_ids(self) -> RawIds | None:
        """Return the mapping from raw ids of users to indices; None where rows are independent."""
        return None if self.users is None else RawIds(self.users)


@dataclass(frozen=True)
class LoggedActions:
    """`n` logged rounds of single actions, out of `A` actions.

    Args:
        request: `[n]`, rows of the log, from 0.
        action: `[n]`, chosen actions, in `0 … A − 1`.
        reward: `[n]`, their rewards.
        propensity: `[n]`, probability of the chosen action under the logging policy, in (0, 1]; None where it is not
            logged.
        user: `[n]`, number of the user of each round, from 0; rounds of a user depend on each other. None where rounds
            are independent.
        context: `[n, F]`, what the logging policy knew; None where it is not logged.
        candidates: `[n, A]`, true at the actions that could be chosen; None where all could.
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
    """`n` logged requests with slates of up to `S` slots, empty slots last.

    Args:
        request: `[n]`, rows of the log, from 0.
        items: `[n, S]`, item indices, −1 in empty slots.
        reward: `[n, S]`, reward of each slot, 0 in empty slots; a log with one reward a slate has it in slot 0.
        propensity: `[n]`, probability of the whole slate under the logging policy, in (0, 1].
        prefix: `[n, S]`, probability of each slot's item given the slots before it, 1 in empty slots.
        slot: `[n, S]`, probability of each slot's item at its slot, whatever else is in the slate, 1 in empty slots.
        user: `[n]`, number of the user of each request, from 0; requests of a user depend on each other. None where
            requests are independent.
        context: what the logging policy knew; None where it is not logged.
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
    """`n` logged episodes of up to `T` steps, out of `A` actions; steps after the end last.

    Args:
        episode: `[n]`, number of each episode in the log, from 0.
        action: `[n, T]`, in `0 … A − 1`; any number after the end.
        reward: `[n, T]`; 0 after the end.
        propensity: `[n, T]`, probability of the action under the logging policy, in (0, 1]; 1 after the end.
        mask: `[n, T]`, true at the steps of the episode.
        context: `[n, T, F]`, state before each action; None where it is not logged.
        done: `[n]`, true where the episode ended after its last step, false where it was truncated; None where all
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
