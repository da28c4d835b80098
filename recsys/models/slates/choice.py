"""The choice likelihood of a slate: one softmax over the shown items and no click."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def choice_log_prob(
    scores: Float[Tensor, "*B S"], shown: Bool[Tensor, "*B S"], no_click: Float[Tensor, "*B"]
) -> Float[Tensor, "*B S1"]:
    """Return the log-probabilities, in nats, of a click on each slot and, last, of no click, `[..., S + 1]`.

    They are the log-softmax over the scores of the shown slots and `no_click`. Empty slots have −inf and do not affect
    the others. For a slate without items, no click has probability 1.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson sampling"
    (DMKD 36). There no click is the item of slot 0, whose score is a bias for each length of a slate.

    Args:
        scores: score of each slot, finite if the slot shows an item.
        shown: true for slots that show an item.
        no_click: score of no click of each slate, finite; or −inf, which means that every slate with items is clicked.

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
    """Return the log-probability, in nats, of each slate's click; −inf for a click on an empty slot.

    Args:
        scores: as in `choice_log_prob`.
        shown: as in `choice_log_prob`.
        no_click: as in `choice_log_prob`.
        click: the clicked slot, or −1 for no click.

    >>> one = torch.ones(2, 1, dtype=torch.bool)  # e against 1
    >>> click_log_prob(torch.ones(2, 1), one, torch.zeros(2), torch.tensor([0, -1]))
    tensor([-0.3133, -1.3133])
    """
    slot = click.where(click >= 0, scores.shape[-1]).unsqueeze(-1)
    return choice_log_prob(scores, shown, no_click).gather(-1, slot).squeeze(-1)
