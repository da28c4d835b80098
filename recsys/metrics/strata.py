"""Metrics of parts of the requests, such as those whose answer has the same day as the last thing known.

Where times are coarse, events of one day have no real order: whatever broke the tie leaks into the target, and a model
may score there for the wrong reason.
"""

from __future__ import annotations

from collections.abc import Mapping

from jaxtyping import Bool, Int
from torch import Tensor

from recsys.metrics.intervals import Interval
from recsys.metrics.summary import Values, summarise


def by_stratum(
    rows: Mapping[str, Values],
    users: Int[Tensor, " B"],
    strata: Mapping[str, Bool[Tensor, " B"]],
    *,
    samples: int = 2000,
    seed: int = 0,
) -> dict[str, dict[str, Interval]]:
    """Every row's metrics over the requests of each stratum, as `<metric>/<stratum>`; empty strata are left out.

    Args:
        rows: as in `recsys.metrics.summary.summarise`.
        users: as there.
        strata: name → `[B]`, true at its requests; strata may overlap.
        samples: as there.
        seed: as there.

    >>> import torch
    >>> mask = torch.tensor([True, False])
    >>> rows = {"sft": {"hr@1": torch.tensor([[0.0, 1.0]])}}
    >>> table = by_stratum(rows, torch.tensor([7, 8]), {"same_day": mask, "other_day": ~mask})
    >>> table["sft"]["hr@1/same_day"].value, table["sft"]["hr@1/other_day"].value
    (0.0, 1.0)
    """
    table: dict[str, dict[str, Interval]] = {row: {} for row in rows}
    for stratum, mask in strata.items():
        if not mask.any():
            continue
        part = {row: {metric: value[:, mask] for metric, value in values.items()} for row, values in rows.items()}
        for row, metrics in summarise(part, users[mask], samples=samples, seed=seed).items():
            table[row] |= {f"{metric}/{stratum}": interval for metric, interval in metrics.items()}
    return table
