"""Requests as a policy sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.errors import RequestError
from recsys.types.jagged import Jagged
from recsys.types.record import TensorRecord

LEGAL_LISTS = ("excluded", "candidates")
"""The lists of a request that restrict its legal set."""

LISTS = ("history", *LEGAL_LISTS)
"""All lists of items of a request."""


@dataclass(frozen=True)
class Context(TensorRecord):
    """`B` requests with users, histories, and the restrictions of their legal sets.

    The legal set of a request is `candidates`, or the whole catalogue, without `excluded`. A context never holds the
    logged answer; an `Example` has it beside its context. Items are indices `0 .. N - 1`; the item table has raw ids.
    Policies refuse other indices in the lists that they read, −1 included (`check`).

    Args:
        users: `[B]`, user indices.
        history: items of each user, oldest first. A row may be empty.
        excluded: items outside the legal set, such as seen or sold-out items, in any order. Repeats are allowed.
        candidates: the only items that may be recommended, in any order; None means the whole catalogue. Repeats are
            allowed and count once.
        features: further tensors with `B` rows, by name.
    """

    users: Int[Tensor, " B"]
    history: Jagged
    excluded: Jagged
    candidates: Jagged | None = None
    features: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.users.shape[0]

    def check(self, num_items: int, lists: Sequence[str] = LISTS) -> None:
        """Refuse requests whose lists hold something else than items. Policies call this before they read a list.

        An index outside `0 .. N − 1` is no item, −1 included: indexing would take it for the last item, silently.

        Args:
            num_items: number of items `N` of the catalogue.
            lists: names of the lists to look at.

        Raises:
            RequestError: names the first such list, request and value.

        >>> import torch
        >>> Context(torch.tensor([5]), Jagged.from_rows([[0, -1]]), Jagged.empty(1)).check(3)
        Traceback (most recent call last):
        recsys.errors.RequestError: request 0: history holds item -1, expected 0 to 2. Leave it out
        """
        every = {"history": self.history, "excluded": self.excluded, "candidates": self.candidates}
        given = {name: rows for name in lists if (rows := every[name]) is not None and rows.values.numel()}
        if not given:
            return
        ends = [end for rows in given.values() for end in rows.values.aminmax()]
        known = torch.stack(ends).tolist()  # one wait for the device
        if min(known) >= 0 and max(known) < num_items:
            return
        for name, rows in given.items():
            outside = (rows.values < 0) | (rows.values >= num_items)
            if outside.any():
                place = int(outside.nonzero()[0])
                raise RequestError(
                    f"request {int(rows.row_ids()[place])}: {name} holds item {int(rows.values[place])}, expected 0 to"
                    f" {num_items - 1}. Leave it out"
                )

    def recent(self, count: int) -> Context:
        """Return the requests with each history cut to its last `count` items. `excluded` does not change."""
        return self.replace(history=self.history.last(count))

    @property
    def restricts(self) -> bool:
        """Whether the legal set of a request can be smaller than the catalogue."""
        return self.candidates is not None or self.excluded.values.numel() > 0

    def illegal(self, num_items: int) -> Tensor:
        """Return a mask of the items outside the legal set of each request, `[B, N]`.

        Raises:
            RequestError: `excluded` or `candidates` hold something else than items (`check`).

        >>> history, excluded = Jagged.from_rows([[0, 1]]), Jagged.from_rows([[1]])
        >>> Context(torch.tensor([5]), history, excluded).illegal(3)
        tensor([[False,  True, False]])
        """
        self.check(num_items, LEGAL_LISTS)
        illegal = self.excluded.mask(num_items)
        return illegal if self.candidates is None else illegal | ~self.candidates.mask(num_items)
