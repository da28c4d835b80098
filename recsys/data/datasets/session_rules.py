"""Rules that choose sessions to train on: by what users did in them, and by user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from recsys.data.datasets.slate_log import SlateLog
from recsys.errors import ConfigurationError, DataError
from recsys.ranges import at_least, is_seed, within


@dataclass(frozen=True)
class SessionRules:
    """Choose sessions by their feedback; a session is chosen if it meets every rule that is given.

    OneRec trains on sessions in which at least five videos were watched, the watch time is above a threshold, and the
    user interacted (arXiv 2502.18965, §3.1; its thresholds are not published).

    Args:
        positive: least number of slots with a value above 0, by channel.
        total: least sum over the slots, by channel, in its unit.
        any_of: channels of which at least one is above 0 in some slot; empty for no such rule.

    Raises:
        ConfigurationError: a least value is negative or not finite.
    """

    positive: Mapping[str, int] = field(default_factory=dict)
    total: Mapping[str, float] = field(default_factory=dict)
    any_of: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name, least in [*self.positive.items(), *self.total.items()]:
            if not 0 <= least < float("inf"):
                raise ConfigurationError(f"the rule for {name!r} asks for at least {least}: expected 0 or more")

    def __call__(self, log: SlateLog) -> Bool[Tensor, " R"]:
        """Return which sessions are chosen, `[R]`.

        Raises:
            DataError: the log lacks the channel of a rule, or it has one number a slate. The message names the rule.
        """
        masks = [mask for _, mask in self.by_rule(log)]
        return torch.stack([torch.ones(len(log), dtype=torch.bool), *masks]).all(0)

    def by_rule(self, log: SlateLog) -> list[tuple[str, Bool[Tensor, " R"]]]:
        """Return each rule in words, and which sessions meet it."""
        found: list[tuple[str, Tensor]] = []
        for name, least in self.positive.items():
            above = (_values(log, name, "positive") > 0).float()
            found.append((f"{name} in {least} slots", _per_slate(log, above) >= least))
        found += [
            (f"{name} of {least:g}", _per_slate(log, _values(log, name, "total")) >= least)
            for name, least in self.total.items()
        ]
        if self.any_of:
            some = torch.stack([_values(log, name, "any_of") > 0 for name in self.any_of]).any(0)
            found.append((" or ".join(self.any_of), _per_slate(log, some.float()) > 0))
        return found

    def describe(self, log: SlateLog) -> str:
        """Return how many sessions meet each rule and all of them, in one line of text."""
        parts = [f"{int(mask.sum()):,} with {words}" for words, mask in self.by_rule(log)]
        return f"{len(log):,} sessions: {', '.join([*parts, f'{int(self(log).sum()):,} meet all rules'])}"


@dataclass(frozen=True)
class UserPart:
    """Choose the sessions of one part of the users, who are divided at random into parts of equal size.

    A reward model and the judge of it are trained on different parts.

    Args:
        part: number of the part, from 0.
        parts: number of parts.
        seed: of the division.

    Raises:
        ConfigurationError: there is no such part.
    """

    part: int = 0
    parts: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        is_seed(seed=self.seed)
        at_least(1, parts=self.parts)
        within(0, self.parts - 1, part=self.part)

    def __call__(self, log: SlateLog) -> Bool[Tensor, " R"]:
        """Return which sessions are chosen, `[R]`."""
        order = torch.randperm(log.num_users, generator=torch.Generator().manual_seed(self.seed))
        return (order % self.parts == self.part)[log.user_indices()]

    def describe(self, log: SlateLog) -> str:
        """Return how many sessions are chosen, in one line of text."""
        return f"{int(self(log).sum()):,} of {len(log):,} sessions, of part {self.part} of {self.parts} of the users"


def _values(log: SlateLog, channel: str, rule: str) -> Float[Tensor, " total"]:
    try:
        return log.slot_values(channel)
    except DataError as error:
        raise DataError(f"SessionRules.{rule}: {error}. Name one of these, or leave the rule out") from error


def _per_slate(log: SlateLog, values: Float[Tensor, " total"]) -> Float[Tensor, " R"]:
    return torch.zeros(len(log), dtype=values.dtype).index_add(0, log.slates.row_ids(), values)
