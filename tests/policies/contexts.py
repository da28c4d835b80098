from __future__ import annotations

from collections.abc import Sequence

import torch

from recsys.types.context import Context
from recsys.types.jagged import Jagged


def requests(
    histories: Sequence[Sequence[int]],
    excluded: Sequence[Sequence[int]] | None = None,
    target: Sequence[int] | None = None,
) -> Context:
    rows = len(histories)
    return Context(
        users=torch.arange(rows),
        history=Jagged.from_rows(histories),
        excluded=Jagged.empty(rows) if excluded is None else Jagged.from_rows(excluded),
        target=None if target is None else torch.tensor(target, dtype=torch.int64),
    )
