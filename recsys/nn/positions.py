"""Position encodings of attention: rotary embeddings and the relative position bias of T5."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override


class RotaryEmbedding(nn.Module):
    """Rotary positions: each pair of entries `(i, i + d/2)` of a vector at position `t` turns by `t · base^(−2i/d)`.

    The inner product of a query and a key then depends on their positions only through the difference.

    Source: Su et al. 2021, "RoFormer", §3.2.

    >>> turned = RotaryEmbedding(width=2)(torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    >>> [round(value, 4) for value in turned[1].tolist()]
    [0.5403, 0.8415]

    Args:
        width: width `d` of one head, an even number.
        base: ratio of the longest wavelength to the shortest.
    """

    rate: Tensor

    def __init__(self, width: int, base: float = 10_000.0) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(
                f"rotary positions turn pairs of entries: found a head width of {width}, expected an even number"
            )
        rate = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
        self.register_buffer("rate", rate, persistent=False)

    @override
    def forward(self, x: Float[Tensor, "... T d"], start: int | Int[Tensor, "*rows"] = 0) -> Float[Tensor, "... T d"]:
        """Return `x` turned by its positions. Row `t` has position `start + t`.

        Args:
            x: queries or keys.
            start: one for all, or of each row: broadcastable to the dimensions of `x` before `T`.
        """
        steps = torch.arange(x.shape[-2], device=x.device, dtype=self.rate.dtype)
        if isinstance(start, Tensor):
            steps = steps + start.unsqueeze(-1)
        elif start:
            steps = steps + start
        angle = steps.unsqueeze(-1) * self.rate
        cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
        left, right = x.chunk(2, -1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], -1)


class RelativePositionBias(nn.Module):
    """A learned bias of attention logits by relative position: `bias[h, i, j] = table[bucket(j − i), h]`.

    In each direction, the first half of the buckets hold one distance each. The others widen logarithmically up to
    `max_distance`; all larger distances share the last bucket.

    Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    §2.1.

    Args:
        heads: number of heads `H`.
        buckets: number of buckets of both directions together.
        max_distance: distance at which the last bucket begins.
        causal: whether keys after their query are masked. All buckets are then for keys before the query.
    """

    def __init__(self, heads: int, buckets: int = 32, max_distance: int = 128, causal: bool = False) -> None:
        super().__init__()
        self.max_distance = max_distance
        self.causal = causal
        self.weight = nn.Parameter(torch.randn(buckets, heads) * 0.02)

    def bucket(self, distance: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
        """Return the bucket of each distance `j − i` (position of the key minus position of the query).

        >>> RelativePositionBias(heads=1).bucket(torch.tensor([0, -1, 1, -7, -8, -200]))
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

    @override
    def forward(self, queries: int, keys: int) -> Float[Tensor, "1 H queries keys"]:
        """Return the bias of the last `queries` of `keys` positions; if causal, −inf at keys after their query."""
        key = torch.arange(keys, device=self.weight.device)
        distance = key - key[keys - queries :].unsqueeze(1)
        bias = self.weight[self.bucket(distance)].permute(2, 0, 1).unsqueeze(0)
        return bias.masked_fill(distance > 0, float("-inf")) if self.causal else bias
