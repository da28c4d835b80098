"""Click-rate baselines: the probability of a click is proportional to the click rate of the item."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.user_slates import Exposure


@dataclass(frozen=True)
class ClickRateModel:
    """A model of clicks on a slate of `n` items: `P(click = k) = (1 − p_n) · rate_k / Σ_j rate_j`.

    `p_n` is the probability of no click.

    Args:
        rate: `[N]`, rate of each item, above 0.
        no_click: `[S]`, probability of no click `p_n` for slates of `1 … S` items, in [0, 1].
    """

    rate: Float[Tensor, " N"]
    no_click: Float[Tensor, " S"]

    @classmethod
    def uniform(cls, log: SlateLog, mask: Bool[Tensor, " R"]) -> ClickRateModel:
        """Return the model in which all items have the same rate.

        Args:
            log: logged slates and clicks.
            mask: mask of the impressions that are counted.
        """
        return cls(torch.ones(log.num_items), _without_click(log, mask))

    @classmethod
    def popularity(cls, log: SlateLog, mask: Bool[Tensor, " R"]) -> ClickRateModel:
        """Return the model whose rates are `(clicks + mean) / (impressions + 1)` of each item.

        `mean` is the click rate over all items. Items with few impressions have about this rate.

        Args:
            log: as in `uniform`.
            mask: as in `uniform`.
        """
        shown = Exposure.from_log(log, mask).occurrences
        click = log.first_click()
        clicked = mask & (click >= 0)
        chosen = log.slates.values[log.slates.offsets[:-1][clicked] + click[clicked]]
        clicks = torch.bincount(chosen, minlength=log.num_items)
        mean = (clicks.sum() + 1) / (shown.sum() + 1)
        return cls((clicks + mean) / (shown + 1), _without_click(log, mask))

    def choices(self, slates: Int[Tensor, "U T S"]) -> Float[Tensor, "U T S1"]:
        """Return the log-probabilities, in nats, of a click on each slot and, last, of no click.

        For a slate without items, no click has probability 1.

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
    """Return the share of slates without a click, by length; one slate with the mean share is added to each length."""
    lengths, none = log.slates.lengths - 1, (log.clicks.lengths == 0) & mask
    slots = int(lengths.max()) + 1
    all_, without = (torch.bincount(lengths[part], minlength=slots) for part in (mask, none))
    share = (without.sum() + 1) / (all_.sum() + 2)
    return (without + share) / (all_ + 1)
