"""Requests as a policy sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Int
from torch import Tensor

from recsys.types.jagged import Jagged
from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class Context(TensorRecord):
    """`B` requests with users, histories, and the restrictions of their legal sets.

    The legal set of a request is `candidates`, or the whole catalogue, without `excluded`. A context never holds the
    logged answer; an `Example` has it beside its context. Items are indices `0 .. N - 1`; the item table has raw ids.

    Args:
        users: `[B]`, user indices.
        history: items of each user, oldest first. A row may be empty.
        excluded: items outside the legal set, such as seen or sold-out items, in any order. Repeats are allowed.
        candidates: the only items that may be recommended; None means the whole catalogue.
        features: further tensors with `B` rows, by name.
    """

    users: Int[Tensor, " B"]
    history: Jagged
    excluded: Jagged
    candidates: Jagged | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.users.shape[0]

    def recent(self, count: int) -> Context:
        """Return the requests with each history cut to its last `count` items. `excluded` does not change."""
        return self.replace(history=self.history.last(count))

    @property
    def restricts(self) -> bool:
        """Whether the legal set of a request can be smaller than the catalogue."""
        return self.candidates is not None or self.excluded.values.numel() > 0

    def illegal(self, num_items: int) -> Tensor:
        """Return a mask of the items outside the legal set of each request, `[B, N]`.

        >>> import torch
        >>> history, excluded = Jagged.from_rows([[0, 1]]), Jagged.from_rows([[1]])
        >>> Context(torch.tensor([5]), history, excluded).illegal(3)
        tensor([[False,  True, False]])
        """
        illegal = self.excluded.mask(num_items)
        return illegal if self.candidates is None else illegal | ~self.candidates.mask(num_items)
