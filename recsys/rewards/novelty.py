"""Rewards for what is new to the user, and for slates of unlike items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import normalize
from typing_extensions import override

from recsys.metrics.diversity import distance_to_history, self_information
from recsys.ranges import at_least
from recsys.rewards.feedback import is_consumed
from recsys.rewards.reward import Reward
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.slates import Slates


@runtime_checkable
class ItemNovelty(Protocol):
    """How new items are to users."""

    def __call__(self, context: Context, items: Int[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        """Return a number of each item, the more the newer; any finite one where an item is −1."""
        ...


class DistanceNovelty(nn.Module, ItemNovelty):
    """`1 − max cos` to the last items of the user's history, in [0, 2]; 1 for an empty history.

    Args:
        vectors: of all items, any scale.
        window: items that are looked back on.
    """

    vectors: Tensor

    def __init__(self, vectors: Float[Tensor, "N D"], window: int = 10) -> None:
        at_least(1, window=window)
        super().__init__()
        self.register_buffer("vectors", normalize(vectors, dim=-1), persistent=False)
        self.window = window

    @override
    def forward(self, context: Context, items: Int[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        had = context.history.latest(self.window, -1)
        return distance_to_history(self.vectors[items.clamp(min=0)], self.vectors[had.clamp(min=0)], had >= 0)


class PopularityNovelty(nn.Module, ItemNovelty):
    """The self-information `−log2 p(i)` of an item, in bits, the same for all users.

    Args:
        counts: training interactions of each item.
    """

    information: Tensor

    def __init__(self, counts: Float[Tensor, " N"] | Int[Tensor, " N"]) -> None:
        super().__init__()
        self.register_buffer("information", self_information(counts).float(), persistent=False)

    @override
    def forward(self, context: Context, items: Int[Tensor, "B K"]) -> Float[Tensor, "B K"]:
        return self.information[items.clamp(min=0)]


class ConsumedNovelty(nn.Module, Reward):
    """`1[consumed] · novelty` of each slot: novelty counts only where the user consumed the item.

    Paid for what is shown, it would make items at random the best slate.

    Args:
        novelty: how new an item is.
        channel: in which a value above 0 says that an item was consumed, one value a slot.
    """

    order_matters = True
    bounds = None

    def __init__(self, novelty: ItemNovelty, channel: str = "reward") -> None:
        super().__init__()
        self.novelty = novelty
        self.channel = channel

    @override
    def forward(self, example: Example, slates: Slates) -> Float[Tensor, "B G S"]:
        """Return `[B, G, S]`, in the unit of the novelty.

        Raises:
            RequestError: see `is_consumed`.
        """
        found = self.novelty(example.context, slates.items.flatten(1)).view(slates.items.shape)
        consumed = is_consumed(example, slates, self.channel)
        return found.masked_fill(~consumed, 0.0).to(slates.log_prob.dtype)


class SlateDiversity(nn.Module, Reward):
    """The mean of `1 − cos` over the pairs of items of a slate, in [0, 2]; 0 for fewer than two items.

    Args:
        vectors: of all items, any scale; an item with a zero vector has distance 1 from every other.
    """

    order_matters = False
    bounds = (0.0, 2.0)

    vectors: Tensor

    def __init__(self, vectors: Float[Tensor, "N D"]) -> None:
        super().__init__()
        self.register_buffer("vectors", normalize(vectors, dim=-1), persistent=False)

    @override
    def forward(self, example: Example, slates: Slates) -> Float[Tensor, "B G"]:
        """Return `[B, G]`."""
        shown = slates.items >= 0
        listed = self.vectors[slates.items.clamp(min=0)]
        pairs = (shown.unsqueeze(-1) & shown.unsqueeze(-2)).triu(1)
        distance = (1 - torch.einsum("bgsd,bgtd->bgst", listed, listed)).masked_fill(~pairs, 0.0)
        mean = distance.sum((-1, -2)) / pairs.sum((-1, -2)).clamp(min=1)
        return mean.clamp(min=0.0).to(slates.log_prob.dtype)


@runtime_checkable
class IntrinsicReward(Protocol):
    """What a slate earns for following the latent actions that it was drawn with."""

    def __call__(self, example: Example, latents: Mapping[str, Tensor]) -> Float[Tensor, " B"]:
        """Return a finite number a request, 0 where nothing was shown.

        Args:
            example: `B` requests and one slate each.
            latents: `[B, …]` each, by name.
        """
        ...


class IntentMatch(nn.Module, IntrinsicReward):
    """`−weight · |mean novelty of the slate − g|`: slates should be as new as the intent says.

    Args:
        novelty: how new an item is, for the intents to mean the same about in [0, 1].
        weight: in reward, at least 0.
    """

    def __init__(self, novelty: ItemNovelty, weight: float = 1.0) -> None:
        at_least(0, weight=weight)
        super().__init__()
        self.novelty = novelty
        self.weight = weight

    @override
    def forward(self, example: Example, latents: Mapping[str, Tensor]) -> Float[Tensor, " B"]:
        items = example.slates.items[:, 0]
        shown = items >= 0
        found = self.novelty(example.context, items).masked_fill(~shown, 0.0)
        mean = found.sum(1) / shown.sum(1).clamp(min=1)
        return (-self.weight * (mean - latents["intent"]).abs()).masked_fill(~shown.any(1), 0.0)
