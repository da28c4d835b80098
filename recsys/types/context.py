"""What a policy may see of a batch of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.types.jagged import Jagged
from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class Context(TensorRecord):
    """`B` requests: who asks, what they had, what they may not get.

    Items are contiguous indices `0 .. N - 1`; raw ids live in the item table.

    Args:
        users: `[B]`, user indices.
        history: items each user had, oldest first; a row may be empty.
        excluded: items outside the request's legal set (already had, out of stock); in any order, repeats allowed.
        times: `[ΣT]`, seconds since 1970 UTC of each history item, aligned with `history.values`; None where unknown.
        candidates: the only items the request allows; None allows the whole catalogue.
        target: `[B]`, the item the log shows next. Rewards and metrics read it, a policy never does.
        features: further tensors by name, `B` rows each.
    """

    users: Int[Tensor, " B"]
    history: Jagged
    excluded: Jagged
    times: Int[Tensor, " total"] | None = None
    candidates: Jagged | None = None
    target: Int[Tensor, " B"] | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.users.shape[0]

    def select(self, rows: Int[Tensor, " R"]) -> Context:
        """The named requests, in the order named."""
        times = None if self.times is None else Jagged(self.times, self.history.offsets).select(rows).values
        return Context(
            users=self.users[rows],
            history=self.history.select(rows),
            excluded=self.excluded.select(rows),
            times=times,
            candidates=None if self.candidates is None else self.candidates.select(rows),
            target=None if self.target is None else self.target[rows],
            features={name: value[rows] for name, value in self.features.items()},
        )

    def recent(self, count: int) -> Context:
        """The same requests with each history cut to its last `count` items; what is excluded stays excluded."""
        times = None if self.times is None else Jagged(self.times, self.history.offsets).last(count).values
        return replace(self, history=self.history.last(count), times=times)

    def without_target(self) -> Context:
        """The same requests as a policy may see them."""
        return replace(self, target=None)

    @property
    def restricts(self) -> bool:
        """Whether a request may allow less than the whole catalogue."""
        return self.candidates is not None or self.excluded.values.numel() > 0

    def illegal(self, num_items: int) -> Tensor:
        """`[B, N]`, true at every item outside the request's legal set.

        >>> history, excluded = Jagged.from_rows([[0, 1]]), Jagged.from_rows([[1]])
        >>> Context(torch.tensor([5]), history, excluded).illegal(3)
        tensor([[False,  True, False]])
        """
        illegal = self.excluded.mask(num_items)
        return illegal if self.candidates is None else illegal | ~self.candidates.mask(num_items)

    def to(self, device: torch.device | str) -> Context:
        """The same requests on another device."""
        return Context(
            users=self.users.to(device),
            history=self.history.to(device),
            excluded=self.excluded.to(device),
            times=None if self.times is None else self.times.to(device),
            candidates=None if self.candidates is None else self.candidates.to(device),
            target=None if self.target is None else self.target.to(device),
            features={name: value.to(device) for name, value in self.features.items()},
        )
