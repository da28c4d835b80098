"""The causal transformer over items that reads a user's history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.errors import RequestError
from recsys.nn.attention import SelfAttention
from recsys.nn.dropout import Dropout
from recsys.nn.feed_forward import FeedForward, SwiGLU
from recsys.nn.transformer import EPSILON, TransformerBlock
from recsys.ranges import at_least, below_one
from recsys.types.jagged import Jagged


class LearnedPositions(nn.Module):
    """A learned vector a position, counted from the start of the row and added to the input.

    Args:
        width: `D`.
        max_length: positions there are vectors for; a longer row is a `RequestError`.
    """

    rotary = False

    def __init__(self, width: int, max_length: int = 100) -> None:
        super().__init__()
        self.max_length = max_length
        self.weight = nn.Parameter(torch.randn(max_length, width) * 0.02)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """`x` with the vector of position `t` added to each row's position `t`."""
        self._check(x.shape[1])
        return x + self.weight[: x.shape[1]]

    def at(self, x: Float[Tensor, "R D"], position: Int[Tensor, " R"]) -> Float[Tensor, "R D"]:
        """`x` with the vector of each row's own position added."""
        if len(position):
            self._check(int(position.max()) + 1)
        return x + self.weight[position]

    def _check(self, length: int) -> None:
        if length > self.max_length:
            raise RequestError(
                f"a history of {length} items, placed ones included, meets positions learned for {self.max_length}; "
                f"cut it (history.last({self.max_length})), raise max_length or slots, or use RotaryPositions"
            )


class RotaryPositions(nn.Module):
    """Positions as a rotation of queries and keys: rows of any length, only distances count."""

    rotary = True

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """`x` itself; the blocks turn their queries and keys."""
        return x

    def at(self, x: Float[Tensor, "R D"], position: Int[Tensor, " R"]) -> Float[Tensor, "R D"]:
        """`x` itself."""
        return x


@dataclass(frozen=True)
class HistoryCache:
    """The keys and values of encoded histories, for `R` rows that each continue the beginning of one of them.

    Letters: `B` histories, `T` the longest, `t` items placed behind it in each of the `R` rows, `Y` layers.

    Args:
        keys: a tensor `[B, H, T, d]` a layer; arbitrary behind the end of a history.
        values: the same.
        history: `[R]`, which history a row continues.
        length: `[R]`, how many of its items the row has seen.
        placed: `[R, Y, 2, H, t, d]`, keys and values of the placed items.
    """

    keys: tuple[Float[Tensor, "B H T d"], ...]
    values: tuple[Float[Tensor, "B H T d"], ...]
    history: Int[Tensor, " R"]
    length: Int[Tensor, " R"]
    placed: Float[Tensor, "R Y 2 H t d"]

    def select(self, rows: Int[Tensor, " R"]) -> HistoryCache:
        """Return the named rows, in the order named; histories are shared."""
        return HistoryCache(self.keys, self.values, self.history[rows], self.length[rows], self.placed[rows])


class HistoryEncoder(nn.Module):
    """Causal transformer over item vectors: the state at position `t` has seen the items `0 .. t` of its row.

    Dropout on the input and in every block, RMSNorm at the end. Rows are padded inside, so a batch of rows of similar
    length wastes least; results do not depend on which rows share a batch.

    Args:
        width: `D`.
        layers: transformer blocks.
        heads: attention heads a block.
        dropout: probability, in `[0, 1)`.
        max_length: longest row in items; read where `positions` is None.
        positions: `LearnedPositions` or `RotaryPositions`; None takes `LearnedPositions(width, max_length)`.
        feed_forward: makes each block's feed-forward network; None takes `SwiGLU` with `dropout`.
    """

    def __init__(
        self,
        width: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 100,
        positions: LearnedPositions | RotaryPositions | None = None,
        feed_forward: FeedForward | None = None,
    ) -> None:
        at_least(1, width=width, layers=layers, heads=heads, max_length=max_length)
        below_one(dropout=dropout)
        super().__init__()
        self.width = width
        self.positions = positions if positions is not None else LearnedPositions(width, max_length)
        rotary = self.positions.rotary
        feed_forward = feed_forward if feed_forward is not None else partial(SwiGLU, dropout=dropout)
        self.blocks = nn.ModuleList(
            TransformerBlock(width, SelfAttention(width, heads, dropout, rotary), feed_forward, dropout)
            for _ in range(layers)
        )
        self.norm = nn.RMSNorm(width, EPSILON)
        self.dropout = Dropout(dropout)

    def forward(self, history: Jagged) -> Float[Tensor, "total D"]:
        """States of all positions, in the order of `history.values` (float, `[ΣT, D]`).

        Raises:
            RequestError: a row is longer than the learned positions.
        """
        return self.encode(history)[0]

    def encode(self, history: Jagged) -> tuple[Float[Tensor, "total D"], HistoryCache]:
        """`forward`, and what `extend` needs to go on behind any position: one row a position.

        Raises:
            RequestError: a row is longer than the learned positions.
        """
        x = self.dropout(self.positions(history.to_padded(0.0)))
        keys, values = [], []
        for block in cast(Iterable[TransformerBlock], self.blocks):
            attention = cast(SelfAttention, block.attention)
            query, key, value = attention.project(block.attention_norm(x))
            x = block.transform(x + attention.combine(attention.attend(query, key, value, causal=True)))
            keys.append(key)
            values.append(value)
        row, position = history.row_ids(), history.positions()
        nothing = keys[0].new_zeros(len(row), len(keys), 2, keys[0].shape[1], 0, keys[0].shape[3])
        return self.norm(x[row, position]), HistoryCache(tuple(keys), tuple(values), row, position + 1, nothing)

    def extend(self, x: Float[Tensor, "R D"], cache: HistoryCache) -> tuple[Float[Tensor, "R D"], HistoryCache]:
        """Return the state behind one more item a row, and the cache with it.

        It equals `encode` of the longer rows, at the cost of one item.

        Args:
            x: vector of each row's next item.
            cache: of the rows.

        Raises:
            RequestError: a row is longer than the learned positions.
        """
        position = cache.length + cache.placed.shape[4]
        longest = cache.keys[0].shape[2]
        seen = torch.arange(longest, device=x.device) < cache.length.unsqueeze(1)
        mask = nn.functional.pad(seen, (0, cache.placed.shape[4] + 1), value=True)[:, None, None]
        x = self.dropout(self.positions.at(x, position)).unsqueeze(1)
        placed = []
        for layer, block in enumerate(cast(Iterable[TransformerBlock], self.blocks)):
            attention = cast(SelfAttention, block.attention)
            query, *own = attention.project(block.attention_norm(x), position.unsqueeze(1))
            behind = torch.cat([cache.placed[:, layer], torch.stack(own, 1)], 3)
            key = torch.cat([cache.keys[layer][cache.history], behind[:, 0]], 2)
            value = torch.cat([cache.values[layer][cache.history], behind[:, 1]], 2)
            x = block.transform(x + attention.combine(attention.attend(query, key, value, mask)))
            placed.append(behind)
        extended = HistoryCache(cache.keys, cache.values, cache.history, cache.length, torch.stack(placed, 1))
        return self.norm(x.squeeze(1)), extended
