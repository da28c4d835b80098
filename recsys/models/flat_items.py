"""Items that know nothing of each other."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.slate_log import SlateLog
from recsys.models.item_posterior import ItemPosterior
from recsys.nn.mean_field import MeanField


class FlatItems(ItemPosterior):
    """Prior `v_i ~ N(0, s² I)`; the posterior is a mean-field normal.

    Source: the flat model of Eide, Leslie, Frigessi 2022 (without the released code's `tanh` around the vectors).

    Args:
        num_items: `N`.
        width: `D`.
        prior: `s`, above 0.
        deviation: of the posterior at the start, as a share of `s`.
        initial: standard deviation of the posterior's means at the start, as a share of `s`.
    """

    def __init__(
        self, num_items: int, width: int = 25, prior: float = 1.0, deviation: float = 0.1, initial: float = 0.01
    ) -> None:
        super().__init__()
        self.num_items, self.width, self.prior = num_items, width, prior
        self.vectors = MeanField(num_items, width, deviation * prior, initial * prior)

    @classmethod
    def from_log(cls, log: SlateLog, **options: Any) -> FlatItems:
        """For the items of a log; `options` as above."""
        return cls(log.num_items, **options)

    def draw(self, items: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        """See `ItemPosterior.draw`."""
        return self.vectors.draw(items, generator)

    def moments(self, items: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        """See `ItemPosterior.moments`."""
        return self.vectors.moments(items)

    def draw_shared(self, draws: int, generator: torch.Generator) -> Float[Tensor, "R G 2 D"]:
        """See `ItemPosterior.draw_shared`: nothing."""
        return self.vectors.mean.new_zeros(draws, 0, 2, self.width)

    def moments_given(
        self, shared: Float[Tensor, "R G 2 D"], items: Int[Tensor, "R K"]
    ) -> tuple[Float[Tensor, "R K D"], Float[Tensor, "R K D"]]:
        """See `ItemPosterior.moments_given`: as `moments`."""
        return self.moments(items)

    def kl(self, items: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
        """See `ItemPosterior.kl`."""
        return self.vectors.kl(items, 0.0, self.prior)

    def shared_kl(self) -> Float[Tensor, ""]:
        """0: nothing is shared."""
        return self.vectors.mean.new_zeros(())

    def forget(self, items: Int[Tensor, " E"]) -> None:
        """See `ItemPosterior.forget`."""
        self.vectors.reset(items, 0.0, self.prior)
