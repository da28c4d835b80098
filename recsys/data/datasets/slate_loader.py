"""Load batches of users with their slates, and hold the slates of the test set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor
from typing_extensions import override

from recsys.data.datasets.resumable import ResumableLoader
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.errors import DataError
from recsys.ranges import at_least, is_seed
from recsys.types.jagged import Jagged


class SlateLoader(ResumableLoader[Tensor, UserSlates]):
    """A loader of users with their slates, up to the last slate of the loss mask. Each user comes once an epoch.

    Users without a slate in the loss mask are left out. If a slate has several clicks, the one that the source lists
    first is taken. The order depends on the seed and the epoch only.

    Iterating gives one epoch. The loader can be resumed after any batch (`ResumableLoader`).

    Args:
        log: logged slates and clicks.
        loss_mask: `[R]`, mask of the impressions that count in the loss, such as a part of a split. Earlier impressions
            of the same users are loaded as history.
        users: number of users of a batch; the last batch may have fewer.
        seed: seed of the order.
        shuffle: whether the order is random, another one each epoch.
    """

    def __init__(
        self, log: SlateLog, loss_mask: Bool[Tensor, " R"], users: int = 256, seed: int = 0, *, shuffle: bool = True
    ) -> None:
        is_seed(seed=seed)
        at_least(1, users=users)
        if not loss_mask.any():
            raise DataError(f"no slate of {log.name} counts: this part of the split is empty. Change the split")
        super().__init__(seed)
        self._log, self._loss_mask, self._click = log, loss_mask, log.first_click()
        self._steps = _steps(log, loss_mask)
        self._users = self._steps.nonzero().squeeze(1)
        self._size, self._shuffle = users, shuffle
        self._slots = int(log.slates.lengths.max())

    def __len__(self) -> int:
        return -(-len(self._users) // self._size)

    @override
    def _epoch_batches(self, epoch: int) -> tuple[Tensor, ...]:
        users = self._users
        if self._shuffle:
            users = users[torch.from_numpy(np.random.default_rng([self._seed, epoch]).permutation(len(users)))]
        return users.split(self._size)

    @override
    def _gather(self, part: Tensor) -> UserSlates:
        impressions = self._log.by_user().head(part, self._steps[part])
        slates = self._log.slates.select(impressions.values).to_padded(-1, self._slots)
        return UserSlates(
            Jagged(slates, impressions.offsets).to_padded(-1),
            Jagged(self._click[impressions.values], impressions.offsets).to_padded(-1),
            Jagged(self._loss_mask[impressions.values], impressions.offsets).to_padded(False),
        )


def _steps(log: SlateLog, loss_mask: Bool[Tensor, " R"]) -> Int[Tensor, " users"]:
    """Return the number of each user's impressions up to the last in the loss mask, `[U]`; 0 if there is none."""
    reached = torch.where(loss_mask, log.steps() + 1, 0)
    return torch.zeros(log.num_users, dtype=torch.int64).scatter_reduce(0, log.user_indices(), reached, "amax")


@dataclass(frozen=True)
class SlateTestSet:
    """The `n` held-out slates of a split.

    Args:
        batches: batches of all users with a held-out slate, in order, with their earlier slates.
        row: `[n]`, index of each held-out impression in the log.
        user: `[n]`, user of each.
        click: `[n]`, clicked slot of each, −1 for no click.
        strata: masks `[n]` by name: `rare` selects the fifth of the clicks whose items training shows least often;
            `search` and `recommendation` select slates by source, if it is known.
    """

    batches: Sequence[UserSlates]
    row: Int[Tensor, " n"]
    user: Int[Tensor, " n"]
    click: Int[Tensor, " n"]
    strata: dict[str, Bool[Tensor, " n"]]

    @classmethod
    def from_split(cls, log: SlateLog, split: SlateSplit, users: int = 128, limit: int | None = None) -> SlateTestSet:
        """Return the test set of a split.

        Args:
            log: logged slates.
            split: the split of the log.
            users: number of users of a batch.
            limit: the most batches; None means all.
        """
        batches = list(SlateLoader(log, split.test, users, shuffle=False))[:limit]
        row = split.test.nonzero().squeeze(1)[: sum(int(batch.loss_mask.sum()) for batch in batches)]
        click = torch.cat([batch.click[batch.loss_mask] for batch in batches])
        return cls(batches, row, log.user_indices()[row], click, _strata(log, split, row, click))

    def flat(self, parts: Iterable[Shaped[Tensor, "U T S1"]]) -> Shaped[Tensor, "n S1"]:
        """Join results of the batches, and keep one row for each held-out slate."""
        return torch.cat([part[batch.loss_mask] for part, batch in zip(parts, self.batches, strict=True)])


def _strata(log: SlateLog, split: SlateSplit, row: Tensor, click: Tensor) -> dict[str, Bool[Tensor, " n"]]:
    shown = Exposure.from_log(log, split.train).occurrences
    chosen = log.slates.values[log.slates.offsets[:-1][row] + click.clamp(min=0)]
    often, clicked = shown[chosen].double(), click >= 0
    strata = {"rare": clicked & (often <= often[clicked].quantile(0.2))} if clicked.any() else {}
    source = log.requests.get_column("source")[row.numpy()]
    for name in sorted(source.drop_nulls().unique()):
        strata[name] = torch.from_numpy((source == name).fill_null(False).to_numpy().copy())
    return strata
