"""Which impressions train and which are evaluated: masks over a log of slates."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from recsys.data.slate_log import SlateLog
from recsys.errors import ConfigurationError, DataError


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


def by_time(log: SlateLog, validation: float = 0.1, test: float = 0.1) -> SlateSplit:
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


def by_steps(log: SlateLog, steps: int = 5, validation: float = 0.05, test: float = 0.05, seed: int = 0) -> SlateSplit:
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
