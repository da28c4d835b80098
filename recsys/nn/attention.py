"""Self-attention of sequences, and cross-attention to a memory whose keys and values are computed once."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.nn.biased_attention import BiasedAttentionFunction
from recsys.nn.dropout import Dropout
from recsys.nn.packing import Packing
from recsys.nn.positions import RotaryEmbedding


class SelfAttentionMaps(nn.Module):
    """The linear maps of multi-head self-attention, without biases, and the attention itself.

    Dropout applies to the output. Dropout on the attention weights would rule out the fused kernels and double the time
    of a step on a CPU.

    Args:
        width: width `D` of input and output.
        heads: number of heads `H`.
        dropout: probability of dropping an output value, in `[0, 1)`.
        rotary: whether queries and keys are turned by their positions, which count from the start of the row.
        head_width: width `d` of one head; None means `width / heads`.
        scale: factor of the logits; None means `1/√d`. T5 uses 1.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        dropout: float = 0.0,
        rotary: bool = False,
        head_width: int | None = None,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        if head_width is None and width % heads:
            raise ValueError(f"width {width} is not a multiple of {heads} heads. Set head_width")
        self.heads = heads
        self.scale = scale
        inner = heads * (head_width or width // heads)
        self.query_key_value = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.dropout = Dropout(dropout)
        self.rotary = RotaryEmbedding(inner // heads) if rotary else None

    def project(self, x: Float[Tensor, "B T D"], start: int | Int[Tensor, "B 1"] = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values `[B, H, T, d]` of positions `start .. start + T − 1`."""
        return self.split(self.query_key_value(x), start)

    def split(
        self, projected: Float[Tensor, "B T three_inner"], start: int | Int[Tensor, "B 1"] = 0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries, keys and values `[B, H, T, d]` from the output of `query_key_value`."""
        query, key, value = projected.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary is not None:
            query, key = self.rotary(query, start), self.rotary(key, start)
        return query, key, value

    def attend(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None, causal: bool = False
    ) -> Float[Tensor, "B T inner"]:
        """Return the attention output of queries `[B, H, T, d]` over keys and values `[B, H, S, d]`, heads joined.

        Where a bias is learned, every query needs a key with a finite bias.
        """
        if (
            bias is not None
            and bias.requires_grad
            and bias.device.type == "cpu"
            and not torch.is_autocast_enabled("cpu")
        ):
            scale = query.shape[-1] ** -0.5 if self.scale is None else self.scale
            gathered = cast(Tensor, BiasedAttentionFunction.apply(query, key, value, bias, scale))
        else:
            gathered = F.scaled_dot_product_attention(query, key, value, bias, is_causal=causal, scale=self.scale)
        return gathered.transpose(1, 2).flatten(2)

    def attend_behind(
        self,
        query: Float[Tensor, "RM H T d"],
        own: tuple[Float[Tensor, "RM H t d"], Float[Tensor, "RM H t d"]],
        shared: tuple[Float[Tensor, "R H s d"], Float[Tensor, "R H s d"]],
        bias: Float[Tensor, "1 H T s_plus_t"],
    ) -> Float[Tensor, "RM T inner"]:
        """Return what `attend` gathers from shared keys and values followed by a beam's own.

        `M` neighbouring beams share the keys and values of one of `R` rows, which are not copied for them.

        Args:
            query: of each beam.
            own: keys and values of each beam.
            shared: keys and values of each row.
            bias: added to the logits, of the shared keys first.
        """
        rows, count = shared[0].shape[0], shared[0].shape[2]
        beams = query.shape[0] // max(rows, 1)

        def by_row(x: Tensor) -> Tensor:
            """`[R, H, M · T, …]`: all queries of a row side by side."""
            return x.unflatten(0, (rows, beams)).transpose(1, 2).flatten(2, 3)

        def by_beam(x: Tensor) -> Tensor:
            """`[R · M, H, T, …]`."""
            return x.unflatten(2, (beams, query.shape[2])).transpose(1, 2).flatten(0, 1)

        query = query * (query.shape[-1] ** -0.5 if self.scale is None else self.scale)
        logits = torch.cat([by_beam(by_row(query) @ shared[0].mT), query @ own[0].mT], -1) + bias
        of_shared, of_own = logits.softmax(-1).split([count, own[0].shape[2]], -1)
        gathered = by_beam(by_row(of_shared) @ shared[1]) + of_own @ own[1]
        return gathered.transpose(1, 2).flatten(2)

    def combine(self, gathered: Float[Tensor, "... inner"]) -> Float[Tensor, "... D"]:
        """Map the joined heads to the width `D` and apply dropout."""
        return self.dropout(self.out(gathered))


class SelfAttention(SelfAttentionMaps):
    """Self-attention of padded rows, causal unless a bias is given. Arguments are those of `SelfAttentionMaps`.

    Rows are aligned left, so causal attention never reads the padding after a row. The output at padding is finite and
    has no meaning.
    """

    @override
    def forward(
        self, x: Float[Tensor, "B T D"], bias: Float[Tensor, "#B #H T T"] | None = None
    ) -> Float[Tensor, "B T D"]:
        """Return the attention output of each position.

        Args:
            x: padded rows, aligned left.
            bias: number that is added to the logits, instead of the causal mask; −inf masks a key.
        """
        return self.combine(self.attend(*self.project(x), bias=bias, causal=bias is None))


class PackedSelfAttention(SelfAttentionMaps):
    """Self-attention within packed rows. Arguments are those of `SelfAttentionMaps`.

    Rows of the same length are processed together, without padding. On a CPU, 256 rows of 4 to 80 positions, which
    would fill 46 % of a padded batch, take a fifth of the time of that batch.
    """

    @override
    def forward(
        self,
        x: Float[Tensor, "total D"],
        packing: Packing,
        bias: Float[Tensor, "1 H T T"],
    ) -> Float[Tensor, "total D"]:
        """Return the attention output of each position over the positions of its row.

        Args:
            x: packed rows.
            packing: packing of the rows.
            bias: number that is added to the logits of the longest row. Shorter rows use its upper left part.
        """
        if not packing.runs:
            return self.combine(x.new_zeros(0, self.out.in_features))
        parts = self.query_key_value(x).split([count * length for count, length in packing.runs])
        gathered = [
            self.attend(*self.split(part.unflatten(0, run)), bias[..., : run[1], : run[1]]).flatten(0, 1)
            for part, run in zip(parts, packing.runs, strict=True)
        ]
        return self.combine(torch.cat(gathered))


class CrossAttention(nn.Module):
    """Multi-head attention of queries to a memory whose keys and values are computed once.

    All queries of a request (beams, candidates, positions) share one query axis, so the memory is never copied. With 16
    beams over a history of 80 tokens, the keys are read once instead of 16 times.

    Args:
        width: width `D` of queries, memory and output.
        heads: number of heads `H`.
        dropout: probability of dropping an output value, in `[0, 1)`.
        head_width: width `d` of one head; None means `width / heads`.
        scale: factor of the logits; None means `1/√d`. T5 uses 1.
    """

    def __init__(
        self, width: int, heads: int, dropout: float = 0.0, head_width: int | None = None, scale: float | None = None
    ) -> None:
        super().__init__()
        self.heads = heads
        self.scale = scale
        inner = heads * (head_width or width // heads)
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.dropout = Dropout(dropout)

    def project(self, memory: Float[Tensor, "total D"], packing: Packing) -> tuple[Tensor, Tensor]:
        """Return keys and values `[B, H, S, d]` of a packed memory."""
        key, value = packing.pad(self.key_value(memory)).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return key, value

    @override
    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        key: Float[Tensor, "B H S d"],
        value: Float[Tensor, "B H S d"],
        mask: Bool[Tensor, "B 1 1 S"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """Return the attention output of each of a request's `Q` queries over the memory of the request.

        Args:
            x: queries.
            key: keys of the memory, from `project`.
            value: values of the memory, from `project`.
            mask: true at keys that exist; None means that all do.
        """
        query = self.query(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        gathered = F.scaled_dot_product_attention(query, key, value, mask, scale=self.scale)
        return self.dropout(self.out(gathered.transpose(1, 2).flatten(2)))


class GroupedCrossAttention(nn.Module):
    """Multi-head attention of queries to keys and values that are given: it projects queries only.

    `H / H_m` neighbouring heads share each of the `H_m` heads of the memory (grouped-query attention), which is read as
    it is: the queries of a group are further positions of one head, and nothing is copied for them.

    Sources: Ainslie et al. 2023 (arXiv 2305.13245) for groups; OneRec-V2 (arXiv 2508.20900) for attention without key
    and value projections.

    Args:
        width: width `D` of queries and output.
        heads: number of heads `H` of the queries.
        memory_heads: number of heads `H_m` of the memory; `heads` is a multiple of it.
        head_width: width `d` of one head.
        dropout: probability of dropping an output value, in `[0, 1)`.

    Raises:
        ConfigurationError: `heads` is no multiple of `memory_heads`.
    """

    def __init__(self, width: int, heads: int, memory_heads: int, head_width: int, dropout: float = 0.0) -> None:
        if heads % memory_heads:
            raise ConfigurationError(f"heads={heads}: expected a multiple of the memory's {memory_heads} heads")
        super().__init__()
        self.memory_heads = memory_heads
        self.groups = heads // memory_heads
        self.query = nn.Linear(width, heads * head_width, bias=False)
        self.out = nn.Linear(heads * head_width, width, bias=False)
        self.dropout = Dropout(dropout)

    @override
    def forward(
        self,
        x: Float[Tensor, "B Q D"],
        key: Float[Tensor, "B Hm S d"],
        value: Float[Tensor, "B Hm S d"],
        mask: Bool[Tensor, "B 1 1 S"] | None = None,
    ) -> Float[Tensor, "B Q D"]:
        """Return the attention output of each of a request's `Q` queries over the memory of the request.

        Args:
            x: queries.
            key: keys of the memory.
            value: values of the memory.
            mask: true at keys that exist; None means that all do.
        """
        query = self.query(x).unflatten(-1, (self.memory_heads, self.groups, -1)).permute(0, 2, 3, 1, 4).flatten(2, 3)
        gathered = F.scaled_dot_product_attention(query, key, value, mask)
        return self.dropout(self.out(gathered.unflatten(2, (self.groups, -1)).permute(0, 3, 1, 2, 4).flatten(2)))
