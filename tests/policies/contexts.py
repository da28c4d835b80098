from __future__ import annotations

from collections.abc import Sequence

import torch

from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.jagged import Jagged


def requests(
    histories: Sequence[Sequence[int]],
    excluded: Sequence[Sequence[int]] | None = None,
) -> Context:
    rows = len(histories)
    return Context(
        users=torch.arange(rows),
        history=Jagged.from_rows(histories),
        excluded=Jagged.empty(rows) if excluded is None else Jagged.from_rows(excluded),
    )


def answered(context: Context, items: Sequence[int]) -> Example:
    return Example.next_item(context, torch.tensor(items, dtype=torch.int64))
