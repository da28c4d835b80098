"""Batches of users with all their slates."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.epochs import Epochs
from recsys.data.jagged import Jagged
from recsys.data.slate_log import SlateLog
from recsys.data.user_slates import UserSlates
from recsys.errors import ConfigurationError, DataError


class SlateLoader(Epochs[Tensor, UserSlates]):
    """Every user with a slate that counts, once an epoch; their slates up to the last that counts.

    Of several clicks in a slate the first that the source lists is given. The order depends on `seed` and epoch alone.

    Iterating gives one epoch; resumable after any batch (`Epochs`).

    Args:
        log: what was shown and clicked.
        counts: `[R]`, the impressions to be explained: a part of a split. Earlier ones of the same users come along.
        users: in a batch; the last may have fewer.
        seed: of the order.
        shuffle: whether users come in random order, another each epoch.
    """

    def __init__(
        self, log: SlateLog, counts: Bool[Tensor, " R"], users: int = 256, seed: int = 0, *, shuffle: bool = True
    ) -> None:
        if users < 1:
            raise ConfigurationError(f"users={users}: a batch holds at least one user")
        if not counts.any():
            raise DataError(f"no slate of {log.name} counts: the part of the split that was asked for is empty")
        super().__init__(seed)
        self._log, self._counts, self._click = log, counts, log.first_click()
        self._steps = _steps(log, counts)
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
            Jagged(self._counts[impressions.values], impressions.offsets).to_padded(False),
        )


def _steps(log: SlateLog, counts: Bool[Tensor, " R"]) -> Int[Tensor, " users"]:
    """`[U]`, each user's impressions up to the last that counts; 0 where none does."""
    reached = torch.where(counts, log.steps() + 1, 0)
    return torch.zeros(log.num_users, dtype=torch.int64).scatter_reduce(0, log.user_indices(), reached, "amax")
