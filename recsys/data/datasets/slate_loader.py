"""Loads users with their slates in batches, and holds the slates of the test set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from recsys.data.datasets.resumable import ResumableLoader
from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.split import SlateSplit
from recsys.data.datasets.user_slates import Exposure, UserSlates
from recsys.errors import ConfigurationError, DataError
from recsys.types.jagged import Jagged


class SlateLoader(ResumableLoader[Tensor, UserSlates]):
    """Every user with a slate that counts, once an epoch; their slates up to the last that counts.

    Of several clicks in a slate the first that the source lists is given. The order depends on `seed` and epoch alone.

    Iterating gives one epoch; resumable after any batch (`ResumableLoader`).

    Args:
        log: what was shown and clicked.
        loss_mask: `[R]`, the impressions to be explained: a part of a split. Earlier ones of the same users come along.
        users: in a batch; the last may have fewer.
        seed: of the order.
        shuffle: whether users come in random order, another each epoch.
    """

    def __init__(
        self, log: SlateLog, loss_mask: Bool[Tensor, " R"], users: int = 256, seed: int = 0, *, shuffle: bool = True
    ) -> None:
        if users < 1:
            raise ConfigurationError(f"users={users}: a batch holds at least one user")
        if not loss_mask.any():
            raise DataError(f"no slate of {log.name} counts: the part of the split that was asked for is empty")
        super().__init__(seed)
        self._log, self._loss_mask, self._click = log, loss_mask, log.first_click()
        self._steps = _steps(log, loss_mask)
        self._users = self._steps.nonzero().squeeze(1)
        self._size, self._shuffle = users, shuffle
        self._slots = int(log.slates.lengths.max())

    def __len__(self) -> int:
        return -(-len(self._users) // self._size)

    def _epoch_batches(self, epoch: int) -> tuple[Tensor, ...]:
        """The users of each batch of an epoch."""
        users = self._users
        if self._shuffle:
            users = users[torch.from_numpy(np.random.default_rng([self._seed, epoch]).permutation(len(users)))]
        return users.split(self._size)

    def _gather(self, part: Tensor) -> UserSlates:
        """All slates of the users."""
        impressions = self._log.by_user().head(part, self._steps[part])
        slates = self._log.slates.select(impressions.values).to_padded(-1, self._slots)
        return UserSlates(
            Jagged(slates, impressions.offsets).to_padded(-1),
            Jagged(self._click[impressions.values], impressions.offsets).to_padded(-1),
            Jagged(self._loss_mask[impressions.values], impressions.offsets).to_padded(False),
        )


def _steps(log: SlateLog, loss_mask: Bool[Tensor, " R"]) -> Int[Tensor, " users"]:
    """`[U]`, each user's impressions up to the last that counts; 0 where none does."""
    reached = torch.where(loss_mask, log.steps() + 1, 0)
    return torch.zeros(log.num_users, dtype=torch.int64).scatter_reduce(0, log.user_indices(), reached, "amax")


@dataclass(frozen=True)
class SlateTestSet:
    """`n` held-out slates.

    Args:
        batches: all users that have one, in order, with the slates before.
        row: `[n]`, the impression of each.
        user: `[n]`, whose it is.
        click: `[n]`, the slot, −1 where nothing was clicked.
        strata: name → `[n]`: `rare`, clicks on the items that training showed least, a fifth of all; and the sources
            (`search`, `recommendation`) where they are known.
    """

    batches: Sequence[UserSlates]
    row: Int[Tensor, " n"]
    user: Int[Tensor, " n"]
    click: Int[Tensor, " n"]
    strata: dict[str, Bool[Tensor, " n"]]

    @classmethod
    def from_split(cls, log: SlateLog, split: SlateSplit, users: int = 128, limit: int | None = None) -> SlateTestSet:
        """The test part of a split.

        Args:
            log: all slates.
            split: which of them train and which are held out.
            users: in a batch.
            limit: batches at most; None for all.
        """
        batches = list(SlateLoader(log, split.test, users, shuffle=False))[:limit]
        row = split.test.nonzero().squeeze(1)[: sum(int(batch.loss_mask.sum()) for batch in batches)]
        click = torch.cat([batch.click[batch.loss_mask] for batch in batches])
        return cls(batches, row, log.user_indices()[row], click, _strata(log, split, row, click))

    def flat(self, parts: Iterable[Shaped[Tensor, "U T S1"]]) -> Shaped[Tensor, "n S1"]:
        """What was found batch by batch, a line a held-out slate."""
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
