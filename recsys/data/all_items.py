"""The ablation that forgets what was shown: each click against items by chance."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Bool
from torch import Tensor

from recsys.data.jagged import Jagged
from recsys.data.slate_log import SlateLog


def all_items(
    log: SlateLog, counts: Bool[Tensor, " R"], negatives: int = 24, seed: int = 0
) -> tuple[SlateLog, Bool[Tensor, " R"]]:
    """Clicked slates become the clicked item and others drawn evenly from the catalogue; the rest no longer count.

    What users were shown no longer matters, so that items which are shown often look liked. Drawn items may come twice.
    Source: the all-item likelihood of Eide, Leslie, Frigessi 2022, which draws anew at every step; here once.

    Args:
        log: what was shown and clicked.
        counts: the impressions to be explained.
        negatives: items beside the click.
        seed: of the draw.

    Returns:
        The log, and its impressions that count.
    """
    click = log.first_click()
    clicked = click >= 0
    chosen = log.slates.values[log.slates.offsets[:-1] + click.clamp(min=0)]
    generator = torch.Generator().manual_seed(seed)
    others = torch.randint(log.num_items, (len(log), negatives), generator=generator)
    slates = torch.cat([chosen.unsqueeze(1), others], 1)
    lengths = torch.full((len(log),), negatives + 1)
    changed = replace(
        log,
        slates=Jagged.from_lengths(slates.flatten(), lengths),
        clicks=Jagged.from_lengths(torch.zeros(int(clicked.sum()), dtype=torch.int64), clicked.long()),
        fingerprint=f"{log.fingerprint}/all_items/{negatives}/{seed}",
    )
    return changed, counts & clicked
