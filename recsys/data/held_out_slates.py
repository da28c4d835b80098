"""The clicks that slate models are asked for, and what kinds of them there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from recsys.data.slate_loader import SlateLoader
from recsys.data.slate_log import SlateLog
from recsys.data.slate_split import SlateSplit
from recsys.data.user_slates import Exposure, UserSlates


@dataclass(frozen=True)
class HeldOut:
    """`n` held-out slates.

    Args:
        batches: all users that have one, in order, with the slates before.
        row: `[n]`, the impression of each.
        user: `[n]`, whose it is.
        click: `[n]`, the slot, −1 where nothing was clicked.
        strata: name → `[n]`: `rare`, clicks on the items that training showed least, a fifth of all; and the sources
            (`search`, `recommendation`) where they are known.
    """

    batches: Sequence[UserSlates]
    row: Int[Tensor, " n"]
    user: Int[Tensor, " n"]
    click: Int[Tensor, " n"]
    strata: dict[str, Bool[Tensor, " n"]]

    @classmethod
    def of(cls, log: SlateLog, split: SlateSplit, users: int = 128, limit: int | None = None) -> HeldOut:
        """The test part of a split.

        Args:
            log: all slates.
            split: which of them train and which are held out.
            users: in a batch.
            limit: batches at most; None for all.
        """
        batches = list(SlateLoader(log, split.test, users, shuffle=False))[:limit]
        row = split.test.nonzero().squeeze(1)[: sum(int(batch.counts.sum()) for batch in batches)]
        click = torch.cat([batch.click[batch.counts] for batch in batches])
        return cls(batches, row, log.user_indices()[row], click, _strata(log, split, row, click))

    def flat(self, parts: Iterable[Shaped[Tensor, "U T S1"]]) -> Shaped[Tensor, "n S1"]:
        """What was found batch by batch, a line a held-out slate."""
        return torch.cat([part[batch.counts] for part, batch in zip(parts, self.batches, strict=True)])


def _strata(log: SlateLog, split: SlateSplit, row: Tensor, click: Tensor) -> dict[str, Bool[Tensor, " n"]]:
    shown = Exposure.of(log, split.train).occurrences
    chosen = log.slates.values[log.slates.offsets[:-1][row] + click.clamp(min=0)]
    often, clicked = shown[chosen].double(), click >= 0
    strata = {"rare": clicked & (often <= often[clicked].quantile(0.2))} if clicked.any() else {}
    source = log.requests.get_column("source")[row.numpy()]
    for name in sorted(source.drop_nulls().unique()):
        strata[name] = torch.from_numpy((source == name).fill_null(False).to_numpy().copy())
    return strata
