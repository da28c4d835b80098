"""Divides events and impressions into training, validation and test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.datasets.slate_log import SlateLog
from recsys.errors import ConfigurationError, DataError
from recsys.types.jagged import Jagged


@dataclass(frozen=True)
class Splits:
    """A division of every user's events, oldest first.

    Args:
        train_lengths: `[U]`, how many of each user's first events train.
        validation: positions in the events' flat values of the targets of the validation requests.
        test: the same for the test requests.
    """

    train_lengths: Int[Tensor, " users"]
    validation: Int[Tensor, " validation"]
    test: Int[Tensor, " test"]


@runtime_checkable
class Split(Protocol):
    """A rule that divides events into training and held-out requests."""

    def split(self, events: Jagged, times: Int[Tensor, " total"] | None) -> Splits:
        """Divide `events` (a row a user, oldest first), whose `times` are seconds or None."""
        ...


@dataclass(frozen=True)
class LeaveOneOut:
    """Each user's last event is the test target, the last but one the validation target, the rest trains.

    The protocol of most papers, for comparison with them: training reaches past the time of other users' targets.
    Users with fewer than three events only train.
    """

    def split(self, events: Jagged, times: Int[Tensor, " total"] | None) -> Splits:
        """Divide `events`; `times` are not read.

        >>> LeaveOneOut().split(Jagged.from_rows([[4, 5, 6, 7], [8, 9]]), None)
        Splits(train_lengths=tensor([2, 2]), validation=tensor([2]), test=tensor([3]))
        """
        held_out = events.lengths >= 3
        last = events.offsets[1:][held_out] - 1
        return Splits(torch.where(held_out, events.lengths - 2, events.lengths), last - 1, last)


@dataclass(frozen=True)
class GlobalTime:
    """Two cuts in time for all users: before the first trains, between them validates, after the second tests.

    Each user's first event in a held-out period is one request; its history is everything before it, so a test history
    holds the validation period's events too. Users without any event before the period make no request in it. Events
    at the time of a cut lie behind it.

    Args:
        validation: share of all events between the cuts, in (0, 1).
        test: share of all events after the second cut, in (0, 1); both together less than 1.
    """

    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        if not (0 < self.validation < 1 and 0 < self.test < 1 and self.validation + self.test < 1):
            raise ConfigurationError(
                f"split.validation={self.validation} and split.test={self.test}: both are shares of all events, each"
                " above 0 and together below 1"
            )

    def split(self, events: Jagged, times: Int[Tensor, " total"] | None) -> Splits:
        """Divide `events` by their `times`.

        >>> events = Jagged.from_rows([[0, 1, 2, 3], [4, 5]])
        >>> GlobalTime(0.25, 0.25).split(events, torch.tensor([10, 20, 60, 80, 10, 90]))
        Splits(train_lengths=tensor([2, 1]), validation=tensor([2]), test=tensor([3, 5]))

        Raises:
            DataError: when there are no times, or when a period is empty because too many events share one time.
        """
        if times is None:
            raise DataError(
                "a split in time needs a `timestamp` column and the interactions have only `order`:"
                " use the leave-one-out split"
            )
        ordered = times.sort().values
        first_cut = ordered[int(len(ordered) * (1 - (self.validation + self.test)))]
        second_cut = ordered[int(len(ordered) * (1 - self.test))]
        before_validation, before_test = self._counts(events, times, first_cut), self._counts(events, times, second_cut)
        validation = self._targets(events, before_validation, before_test)
        test = self._targets(events, before_test, events.lengths)
        for period, targets in (("validation", validation), ("test", test)):
            if not len(targets):
                raise DataError(
                    f"the {period} period holds no event of a user with a history: too many events share a time or"
                    " users do not come back; raise its share or use the leave-one-out split"
                )
        return Splits(before_validation, validation, test)

    @staticmethod
    def _counts(events: Jagged, times: Tensor, cut: Tensor) -> Tensor:
        """`[U]`, events of each user before the cut."""
        return torch.bincount(events.row_ids()[times < cut], minlength=len(events))

    @staticmethod
    def _targets(events: Jagged, start: Tensor, end: Tensor) -> Tensor:
        """First event of each user in `start .. end`, where there is one and something before it."""
        return (events.offsets[:-1] + start)[(end > start) & (start > 0)]


@dataclass(frozen=True)
class SlateSplit:
    """Three masks over the impressions; no impression is in two of them, and some may be in none.

    Args:
        train: `[R]`.
        validation: `[R]`.
        test: `[R]`.
    """

    train: Bool[Tensor, " R"]
    validation: Bool[Tensor, " R"]
    test: Bool[Tensor, " R"]

    @property
    def fingerprint(self) -> str:
        """Changes whenever a mask does."""
        masks = torch.stack([self.train, self.validation, self.test]).cpu().numpy()
        return hashlib.sha256(masks.tobytes()).hexdigest()


def split_slates_by_time(log: SlateLog, validation: float = 0.1, test: float = 0.1) -> SlateSplit:
    """Two cuts in time for all users: before the first trains, between them validates, after the second tests.

    Impressions at the time of a cut lie behind it. Every impression is in one of the three.

    Args:
        log: has times.
        validation: share of the impressions between the cuts, in (0, 1).
        test: share after the second cut, in (0, 1); both together less than 1.

    Raises:
        ConfigurationError: when the shares are not such.
        DataError: when the log has no times, or a period is empty because too many impressions share one time.
    """
    _check_shares(validation, test)
    if not (validation and test):
        raise ConfigurationError(f"validation={validation} and test={test}: a split in time needs both above 0")
    if not log.timed:
        raise DataError(f"{log.name} has the order of a user's slates and no times: split it by steps")
    times = log.times()
    ordered = times.sort().values
    first, second = (ordered[int(len(ordered) * (1 - share))] for share in (validation + test, test))
    split = SlateSplit(times < first, (times >= first) & (times < second), times >= second)
    for period, mask in (("train", split.train), ("validation", split.validation)):
        if not mask.any():
            raise DataError(f"the {period} period of {log.name} is empty: too many slates share a time; split by steps")
    return split


def split_slates_by_steps(
    log: SlateLog, steps: int = 5, validation: float = 0.05, test: float = 0.05, seed: int = 0
) -> SlateSplit:
    """Some users are held out after their first steps; everything else trains.

    A random share of the users validates and another tests: their first `steps` impressions train, the later ones are
    evaluated. All impressions of the other users train, so that every impression is in one of the three.

    The users are drawn as in the authors' code: with seed 0 the held-out users are the same numbers. These are theirs
    where users stand in the file by rising id.

    Args:
        log: see above; its `steps()` count impressions that were kept.
        steps: impressions of a held-out user that train.
        validation: share of the users, in [0, 1).
        test: share of the users, in [0, 1); both together less than 1. The number of users is rounded down.
        seed: of the draw of users.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling", and the data set's `load_dataloaders`.

    Raises:
        ConfigurationError: when the shares are not such, or `steps` is negative.
    """
    _check_shares(validation, test)
    if steps < 0:
        raise ConfigurationError(f"steps={steps}: expected how many of a user's first slates train, 0 or more")
    order = torch.randperm(log.num_users, generator=torch.Generator().manual_seed(seed))
    first, second = int(log.num_users * validation), int(log.num_users * test)
    later = log.steps() >= steps
    masks = []
    for users in (order[:first], order[first : first + second]):
        chosen = torch.zeros(log.num_users, dtype=torch.bool)
        chosen[users] = True
        masks.append(chosen[log.user_indices()] & later)
    return SlateSplit(~(masks[0] | masks[1]), *masks)


def _check_shares(validation: float, test: float) -> None:
    if not (0 <= validation < 1 and 0 <= test < 1 and validation + test < 1):
        raise ConfigurationError(
            f"validation={validation} and test={test}: both are shares, neither below 0, together below 1"
        )
