"""Batches of users with all their slates."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from recsys.data.jagged import Jagged
from recsys.data.slate_log import SlateLog
from recsys.data.user_slates import UserSlates
from recsys.errors import ConfigurationError, DataError


class SlateLoader:
    """Every user with a slate that counts, once an epoch; their slates up to the last that counts.

    Of several clicks in a slate the first that the source lists is given. The order depends on `seed` and epoch alone.

    Iterating gives one epoch. `state_dict` after any batch, loaded into a new loader over the same data, gives the rest
    of that epoch and the same epochs after it.

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
        self._log, self._counts, self._click = log, counts, log.first_click()
        self._steps = _steps(log, counts)
        self._users = self._steps.nonzero().squeeze(1)
        self._size, self._seed, self._shuffle = users, seed, shuffle
        self._slots = int(log.slates.lengths.max())
        self._epoch, self._batch, self._resumed = 0, 0, True

    def __len__(self) -> int:
        return -(-len(self._users) // self._size)

    def __iter__(self) -> Iterator[UserSlates]:
        if not self._resumed:
            self._epoch, self._batch = self._epoch + 1, 0
        self._resumed = False
        batches = self._order(self._epoch).split(self._size)
        for index in range(self._batch, len(batches)):
            self._batch = index + 1
            yield self._gather(batches[index])

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: epoch, batches given out in it, and the seed of their order."""
        return {"epoch": self._epoch, "batch": self._batch, "seed": self._seed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stand where another loader over the same data stood; at the end of an epoch that is the start of the next.

        Raises:
            ConfigurationError: when the order there had another seed.
        """
        if state["seed"] != self._seed:
            raise ConfigurationError(f"the loader's seed is {self._seed}, the saved position has seed {state['seed']}")
        self._epoch, self._batch = state["epoch"], state["batch"]
        self._resumed = self._batch < len(self)

    def _order(self, epoch: int) -> Int[Tensor, " users"]:
        if not self._shuffle:
            return self._users
        return self._users[torch.from_numpy(np.random.default_rng([self._seed, epoch]).permutation(len(self._users)))]

    def _gather(self, users: Int[Tensor, " U"]) -> UserSlates:
        steps = self._steps[users]
        impressions = self._log.by_user().head(users, steps)
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
