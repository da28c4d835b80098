"""What an encoder-decoder keeps while it decodes: encoded histories, and the codes behind each beam."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.record import TensorRecord


@dataclass(frozen=True)
class BeamPast(TensorRecord):
    """Keys and values of the codes each beam has behind it.

    Args:
        keys: a tensor `[R, M, H, t, d]` a decoder layer.
        values: the same.
    """

    keys: tuple[Float[Tensor, "R M H t d"], ...]
    values: tuple[Float[Tensor, "R M H t d"], ...]

    def followed_by(self, later: BeamPast) -> BeamPast:
        """Return the codes of both, one after the other."""
        keys, values = zip(self.keys, later.keys, strict=True), zip(self.values, later.values, strict=True)
        return BeamPast(tuple(torch.cat(pair, 3) for pair in keys), tuple(torch.cat(pair, 3) for pair in values))


@dataclass(frozen=True)
class EncodedHistory:
    """Keys and values of each request's history, projected once, and of the placed items.

    There is a set of keys and values for each decoder layer, or for several neighbouring layers. Of `R` rows, `R / B`
    neighbouring ones share each of the `B` histories: slates of one request differ in what they placed alone.

    Args:
        keys: a tensor `[B, H, S, d]` a set.
        values: the same; where the values are the keys, the same tuple.
        mask: `[B, 1, 1, S]`, true at real tokens.
        placed: of the tokens of the placed items, one beam a row.
    """

    keys: tuple[Float[Tensor, "B H S d"], ...]
    values: tuple[Float[Tensor, "B H S d"], ...]
    mask: Bool[Tensor, "B 1 1 S"]
    placed: BeamPast

    @property
    def rows(self) -> int:
        """`R`."""
        return self.placed.keys[0].shape[0]

    @property
    def num_placed(self) -> int:
        """How many tokens the placed items have."""
        return self.placed.keys[0].shape[3]

    def placed_in(self, layer: int) -> tuple[Float[Tensor, "R H t d"], Float[Tensor, "R H t d"]] | None:
        """Keys and values of the placed items' tokens in a layer; None where nothing is placed."""
        if self.num_placed == 0:
            return None
        return self.placed.keys[layer].squeeze(1), self.placed.values[layer].squeeze(1)

    def history_for(self, layer: int, layers: int) -> tuple[Float[Tensor, "B H S d"], Float[Tensor, "B H S d"]]:
        """Return the keys and values of the history that a layer reads: set `⌊layer · sets / layers⌋`.

        Args:
            layer: from 0.
            layers: of the decoder.
        """
        place = layer * len(self.keys) // layers
        return self.keys[place], self.values[place]

    def select(self, rows: Int[Tensor, " R"]) -> EncodedHistory:
        """Return the named rows, in the order named, each with a history of its own."""
        histories = self.mask.shape[0]
        history = rows if histories == self.rows else rows // (self.rows // histories)
        keys = tuple(key[history] for key in self.keys)
        values = keys if self.values is self.keys else tuple(value[history] for value in self.values)
        return EncodedHistory(keys, values, self.mask[history], self.placed.select(rows))
