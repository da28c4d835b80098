"""Click-rate baselines of slates: choices in proportion to each item's click rate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.user_slates import Exposure


@dataclass(frozen=True)
class ClickRateModel:
    """`P(click = k) = (1 − p_n) · rate_k / Σ_j rate_j` over the `n` items of a slate, `p_n` without a click.

    Args:
        rate: `[N]`, above 0, of each item.
        no_click: `[S]`, in [0, 1], share of slates of `1 … S` items without a click.
    """

    rate: Float[Tensor, " N"]
    no_click: Float[Tensor, " S"]

    @classmethod
    def uniform(cls, log: SlateLog, mask: Bool[Tensor, " R"]) -> ClickRateModel:
        """All items alike.

        Args:
            log: what was shown and clicked.
            mask: the impressions that are counted.
        """
        return cls(torch.ones(log.num_items), _without_click(log, mask))

    @classmethod
    def popularity(cls, log: SlateLog, mask: Bool[Tensor, " R"]) -> ClickRateModel:
        """By each item's clicks a showing, `(clicks + mean) / (showings + 1)`: hardly shown items have the mean.

        Args:
            log: see `uniform`.
            mask: see `uniform`.
        """
        shown = Exposure.from_log(log, mask).occurrences
        click = log.first_click()
        clicked = mask & (click >= 0)
        chosen = log.slates.values[log.slates.offsets[:-1][clicked] + click[clicked]]
        clicks = torch.bincount(chosen, minlength=log.num_items)
        mean = (clicks.sum() + 1) / (shown.sum() + 1)
        return cls((clicks + mean) / (shown + 1), _without_click(log, mask))

    def choices(self, slates: Int[Tensor, "U T S"]) -> Float[Tensor, "U T S1"]:
        """Log-probability (nats) of each slot and then of no click; of a slate that shows nothing no click is certain.

        >>> model = ClickRateModel(torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.2]))
        >>> model.choices(torch.tensor([[[0, 1], [1, -1]]])).exp()
        tensor([[[0.2000, 0.6000, 0.2000],
                 [0.5000, 0.0000, 0.5000]]])
        """
        shown = slates >= 0
        length = shown.sum(-1)
        rate = self.rate[slates.clamp(min=0)] * shown
        none = self.no_click[(length - 1).clamp(min=0)].where(length > 0, 1.0)
        share = rate / rate.sum(-1, keepdim=True).where(length.unsqueeze(-1) > 0, 1.0)
        return torch.cat([share * (1 - none).unsqueeze(-1), none.unsqueeze(-1)], -1).log()


def _without_click(log: SlateLog, mask: Bool[Tensor, " R"]) -> Float[Tensor, " S"]:
    """By length, each with one slate more that has the share of all."""
    lengths, none = log.slates.lengths - 1, (log.clicks.lengths == 0) & mask
    slots = int(lengths.max()) + 1
    all_, without = (torch.bincount(lengths[part], minlength=slots) for part in (mask, none))
    share = (without.sum() + 1) / (all_.sum() + 2)
    return (without + share) / (all_ + 1)
