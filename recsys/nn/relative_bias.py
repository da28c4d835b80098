"""T5's relative positions: a learned number added to the attention logits, by head and distance."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class RelativeBias(nn.Module):
    """`bias[h, i, j] = table[bucket(j − i), h]`.

    Half of the buckets of a direction hold one distance each, the rest widen logarithmically up to `max_distance`;
    everything further shares the last. Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a
    Unified Text-to-Text Transformer", §2.1.

    Args:
        heads: `H`.
        buckets: how many, both directions together.
        max_distance: where the last bucket begins.
        causal: keys never stand after their query, and all buckets look back.
    """

    def __init__(self, heads: int, buckets: int = 32, max_distance: int = 128, causal: bool = False) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.causal = causal
        self.weight = nn.Parameter(torch.randn(buckets, heads) * 0.02)

    def bucket(self, distance: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """The bucket of each distance `j − i` (key minus query).

        >>> RelativeBias(heads=1).bucket(torch.tensor([0, -1, 1, -7, -8, -200]))
        tensor([ 0,  1, 17,  7,  8, 15])
        """
        buckets = self.weight.shape[0]
        if self.causal:
            first, back = torch.zeros_like(distance), (-distance).clamp(min=0)
        else:
            buckets //= 2
            first, back = (distance > 0).long() * buckets, distance.abs()
        exact = buckets // 2
        growth = (back.clamp(min=1).float() / exact).log() / math.log(self.max_distance / exact)
        wide = (exact + (growth * (buckets - exact)).long()).clamp(max=buckets - 1)
        return first + torch.where(back < exact, back, wide)

    def forward(self, queries: int, keys: int) -> Float[Tensor, "1 H queries keys"]:
        """The bias of the last `queries` of `keys` positions; −inf at keys after their query where causal."""
        key = torch.arange(keys, device=self.weight.device)
        distance = key - key[keys - queries :].unsqueeze(1)
        bias = self.weight[self.bucket(distance)].permute(2, 0, 1).unsqueeze(0)
        return bias.masked_fill(distance > 0, float("-inf")) if self.causal else bias
