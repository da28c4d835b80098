"""What a policy may see of a batch of requests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Int
from torch import Tensor

from recsys.types.jagged import Jagged
from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class Context(TensorRecord):
    """`B` requests: who asks, what they had, what they may not get.

    A context never holds what the log shows next; an `Example` has that beside its context. Items are contiguous
    indices `0 .. N - 1`; raw ids live in the item table.

    Args:
        users: `[B]`, user indices.
        history: items each user had, oldest first; a row may be empty.
        excluded: items outside the request's legal set (already had, out of stock); in any order, repeats allowed.
        candidates: the only items the request allows; None allows the whole catalogue.
        features: further tensors by name, `B` rows each.
    """

    users: Int[Tensor, " B"]
    history: Jagged
    excluded: Jagged
    candidates: Jagged | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.users.shape[0]

    def recent(self, count: int) -> Context:
        """Return the same requests with each history cut to its last `count` items; `excluded` stays as it is."""
        return self.replace(history=self.history.last(count))

    @property
    def restricts(self) -> bool:
        """Whether a request may allow less than the whole catalogue."""
        return self.candidates is not None or self.excluded.values.numel() > 0

    def illegal(self, num_items: int) -> Tensor:
        """Return `[B, N]`, true at every item outside the request's legal set.

        >>> import torch
        >>> history, excluded = Jagged.from_rows([[0, 1]]), Jagged.from_rows([[1]])
        >>> Context(torch.tensor([5]), history, excluded).illegal(3)
        tensor([[False,  True, False]])
        """
        illegal = self.excluded.mask(num_items)
        return illegal if self.candidates is None else illegal | ~self.candidates.mask(num_items)
