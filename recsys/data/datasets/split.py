"""Split events and impressions into training, validation and test."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from torch import Tensor
from typing_extensions import override

from recsys.data.datasets.slate_log import SlateLog
from recsys.errors import ConfigurationError, DataError
from recsys.ranges import at_least, below_one, between, is_seed
from recsys.types.jagged import Jagged


@dataclass(frozen=True)
class Splits:
    """A split of the events of every user, oldest first.

    Args:
        train_lengths: `[U]`, number of each user's first events that train.
        validation: targets of the validation requests, as positions in the flat values of the events.
        test: targets of the test requests, as positions in the flat values of the events.
    """

    train_lengths: Int[Tensor, " users"]
    validation: Int[Tensor, " validation"]
    test: Int[Tensor, " test"]


@runtime_checkable
class Split(Protocol):
    """A rule that splits events into training events and held-out requests."""

    def split(self, events: Jagged, times: Int[Tensor, " total"] | None) -> Splits:
        """Split events.

        Args:
            events: one row a user, oldest first.
            times: time of each event in seconds; None if the log has no times.

        Raises:
            DataError: the rule needs times, or a part is empty.
        """
        ...


@dataclass(frozen=True)
class LeaveOneOut(Split):
    """The leave-one-out split: each user's last event is the test target, the last but one the validation target.

    The other events train, and so do all events of users with fewer than three. Most papers use this split. Training
    events may be later than the targets of other users.
    """

    @override
    def split(self, events: Jagged, times: Int[Tensor, " total"] | None) -> Splits:
        """Split the events. `times` are not used.

        >>> LeaveOneOut().split(Jagged.from_rows([[4, 5, 6, 7], [8, 9]]), None)
        Splits(train_lengths=tensor([2, 2]), validation=tensor([2]), test=tensor([3]))
        """
        held_out = events.lengths >= 3
        last = events.offsets[1:][held_out] - 1
        return Splits(torch.where(held_out, events.lengths - 2, events.lengths), last - 1, last)


@dataclass(frozen=True)
class GlobalTime(Split):
    """A split by time with two cuts for all users: training before the first, validation between them, test after.

    Each user's first event in a held-out period is the target of one request. Its history is everything before it, so a
    test history includes the validation period. Users without earlier events make no request. Events at the time of a
    cut are after it.

    Args:
        validation: share of all events between the cuts, in (0, 1).
        test: share of all events after the second cut, in (0, 1). The sum of both is below 1.
    """

    validation: float = 0.1
    test: float = 0.1

    def __post_init__(self) -> None:
        between(0, 1, validation=self.validation, test=self.test)
        _check_sum(self.validation, self.test)

    @override
    def split(self, events: Jagged, times: Int[Tensor, " total"] | None) -> Splits:
        """Split the events by their `times`.

        >>> events = Jagged.from_rows([[0, 1, 2, 3], [4, 5]])
        >>> GlobalTime(0.25, 0.25).split(events, torch.tensor([10, 20, 60, 80, 10, 90]))
        Splits(train_lengths=tensor([2, 1]), validation=tensor([2]), test=tensor([3, 5]))

        Raises:
            DataError: there are no times, or a period is empty because too many events have the same time.
        """
        if times is None:
            raise DataError(
                "a split by time needs a column `timestamp`, and the interactions have only `order`."
                " Use split=leave_one_out"
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
                    f"the {period} period holds no event of a user with a history: too many events share a time, or"
                    " users do not return. Raise its share, or use split=leave_one_out"
                )
        return Splits(before_validation, validation, test)

    @staticmethod
    def _counts(events: Jagged, times: Tensor, cut: Tensor) -> Tensor:
        """Return the number of events of each user before the cut, `[U]`."""
        return torch.bincount(events.row_ids()[times < cut], minlength=len(events))

    @staticmethod
    def _targets(events: Jagged, start: Tensor, end: Tensor) -> Tensor:
        """Return the first event of each user in `start .. end`, if there is one and the user has earlier events."""
        return (events.offsets[:-1] + start)[(end > start) & (start > 0)]


@dataclass(frozen=True)
class SlateSplit:
    """A split of impressions, as three masks. An impression is in at most one of them.

    Args:
        train: `[R]`, mask of the training impressions.
        validation: `[R]`, mask of the validation impressions.
        test: `[R]`, mask of the test impressions.
    """

    train: Bool[Tensor, " R"]
    validation: Bool[Tensor, " R"]
    test: Bool[Tensor, " R"]

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever a mask changes."""
        masks = torch.stack([self.train, self.validation, self.test]).cpu().numpy()
        return hashlib.sha256(masks.tobytes()).hexdigest()


def split_slates_by_time(log: SlateLog, validation: float = 0.1, test: float = 0.1) -> SlateSplit:
    """Split impressions by time with two cuts for all users: training before the first, validation between, test after.

    Impressions at the time of a cut are after it. Every impression is in one of the three parts.

    Args:
        log: log with times.
        validation: share of the impressions between the cuts, in (0, 1).
        test: share of the impressions after the second cut, in (0, 1). The sum of both is below 1.

    Raises:
        ConfigurationError: a share is out of range.
        DataError: the log has no times, or a period is empty because too many impressions have the same time.
    """
    between(0, 1, validation=validation, test=test)
    _check_sum(validation, test)
    if not log.timed:
        raise DataError(f"{log.name} has the order of a user's slates and no times. Use split=slate_users")
    times = log.times()
    ordered = times.sort().values
    first, second = (ordered[int(len(ordered) * (1 - share))] for share in (validation + test, test))
    split = SlateSplit(times < first, (times >= first) & (times < second), times >= second)
    for period, mask in (("train", split.train), ("validation", split.validation)):
        if not mask.any():
            raise DataError(
                f"the {period} period of {log.name} is empty: {len(log):,} slate(s) at {len(times.unique()):,} "
                f"different time(s) are too few for validation={validation:g} and test={test:g}. Bring more slates, "
                "raise a share (+split.validation=0.2), or use split=slate_users where many share a time"
            )
    return split


def split_slates_by_steps(
    log: SlateLog, steps: int = 5, validation: float = 0.05, test: float = 0.05, seed: int = 0
) -> SlateSplit:
    """Split impressions by user: held-out users train with their first steps and are evaluated on the later ones.

    A random share of the users is held out for validation, another for test. All impressions of the other users train.
    Every impression is in one of the three parts.

    Users are drawn as in the authors' code. With seed 0 the held-out user numbers are the same; they are the same users
    if the file is sorted by user id.

    Args:
        log: logged slates. `log.steps()` counts impressions that were kept.
        steps: number of first impressions of a held-out user that train.
        validation: share of the users held out for validation, in [0, 1).
        test: share of the users held out for test, in [0, 1). The sum of both is below 1. Numbers of users are rounded
            down.
        seed: seed of the draw of users.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling", and the data set's `load_dataloaders`.

    Raises:
        ConfigurationError: a share is out of range, or `steps` is negative.
    """
    at_least(0, steps=steps)
    is_seed(seed=seed)
    below_one(validation=validation, test=test)
    _check_sum(validation, test)
    order = torch.randperm(log.num_users, generator=torch.Generator().manual_seed(seed))
    first, second = int(log.num_users * validation), int(log.num_users * test)
    later = log.steps() >= steps
    masks = []
    for users in (order[:first], order[first : first + second]):
        chosen = torch.zeros(log.num_users, dtype=torch.bool)
        chosen[users] = True
        masks.append(chosen[log.user_indices()] & later)
    return SlateSplit(~(masks[0] | masks[1]), *masks)


def _check_sum(validation: float, test: float) -> None:
    if not validation + test < 1:
        raise ConfigurationError(f"validation={validation} and test={test}: expected shares that are together below 1")
