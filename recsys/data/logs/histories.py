"""The items that each user took before each request of a log."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.types.jagged import Jagged


@dataclass(frozen=True)
class Histories:
    """Items with a positive reward, by user and time; they take 8 bytes each, and 16 a request.

    Args:
        taken: one row a user, with the items that the user took, oldest first.
        user: `[R]`, user of each request.
        before: `[R]`, number of the user's items that are older than the request.
    """

    taken: Jagged
    user: Int[Tensor, " R"]
    before: Int[Tensor, " R"]

    @classmethod
    def from_requests(
        cls,
        user: Int[Tensor, " R"],
        time: Int[Tensor, " R"],
        items: Int[Tensor, "R S"],
        reward: Float[Tensor, "R S"],
    ) -> Histories:
        """Return the histories of requests in any order; items of a request are taken at its time, after it.

        Args:
            user: `[R]`, user of each request, from 0.
            time: `[R]`, time of each request; requests of a user at one time stay in their order.
            items: shown items, −1 in empty slots.
            reward: reward of each slot; an item with a positive reward was taken.

        >>> user, time, items = torch.tensor([0, 0]), torch.tensor([5, 3]), torch.tensor([[7], [8]])
        >>> histories = Histories.from_requests(user, time, items, torch.ones(2, 1))
        >>> histories.at(torch.tensor([0, 1])).to_padded(-1)  # item 8 was taken at 3, before the request at 5
        tensor([[ 8],
                [-1]])
        """
        order = time.argsort(stable=True)
        order = order[user[order].argsort(stable=True)]
        took = (reward[order] > 0) & (items[order] >= 0)
        count = took.sum(1)
        users = int(user.max()) + 1 if len(user) else 0
        lengths = torch.zeros(users, dtype=torch.int64).index_add(0, user[order], count)
        taken = Jagged.from_lengths(items[order][took], lengths)
        before = torch.empty_like(user)
        before[order] = count.cumsum(0) - count - taken.offsets[user[order]]
        return cls(taken, user, before)

    def at(self, requests: Int[Tensor, " n"]) -> Jagged:
        """Return the histories at some of the requests."""
        return self.taken.head(self.user[requests], self.before[requests])
