"""The choice likelihood of a slate: one softmax over the shown slots and no click."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def choice_log_prob(
    scores: Float[Tensor, "*B S"], shown: Bool[Tensor, "*B S"], no_click: Float[Tensor, "*B"]
) -> Float[Tensor, "*B S1"]:
    """`[..., S + 1]`, nats: each slot and then no click, `softmax` over the shown slots' scores and `no_click`.

    Empty slots are −inf and change nothing; of a slate that shows nothing, no click is certain. Source: Eide, Leslie,
    Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson sampling" (DMKD 36), where no
    click is the item of slot 0 and its score a bias for each length of a slate.

    Args:
        scores: of the slots, finite where something is shown.
        shown: true where the slot shows an item.
        no_click: of each slate, finite; or −inf, and every slate that shows something is clicked.

    >>> two, shown = torch.tensor([0.0, 0.6931472, 5.0]), torch.tensor([True, True, False])
    >>> choice_log_prob(two, shown, torch.tensor(0.0)).exp()  # 1, 2 and 1 of 4
    tensor([0.2500, 0.5000, 0.0000, 0.2500])
    """
    present = scores.masked_fill(~shown, float("-inf"))
    possible = no_click.masked_fill(~shown.any(-1), 0)
    return torch.cat([present, possible.unsqueeze(-1)], -1).log_softmax(-1)


def click_log_prob(
    scores: Float[Tensor, "*B S"],
    shown: Bool[Tensor, "*B S"],
    no_click: Float[Tensor, "*B"],
    click: Int[Tensor, "*B"],
) -> Float[Tensor, "*B"]:
    """Log-probability (nats) of what was clicked; −inf for an empty slot.

    Args:
        scores: see `choice_log_prob`.
        shown: see `choice_log_prob`.
        no_click: see `choice_log_prob`.
        click: the slot, −1 where none was.

    >>> one = torch.ones(2, 1, dtype=torch.bool)  # e against 1
    >>> click_log_prob(torch.ones(2, 1), one, torch.zeros(2), torch.tensor([0, -1]))
    tensor([-0.3133, -1.3133])
    """
    slot = click.where(click >= 0, scores.shape[-1]).unsqueeze(-1)
    return choice_log_prob(scores, shown, no_click).gather(-1, slot).squeeze(-1)
