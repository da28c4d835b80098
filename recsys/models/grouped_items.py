"""Items that tell of each other through their group."""

from __future__ import annotations

import math
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.data.slate_log import SlateLog
from recsys.models.item_posterior import ItemPosterior
from recsys.nn.mean_field import MeanField


class GroupedItems(ItemPosterior):
    """`v_i = μ_g + σ_g ⊙ ε_i` with `ε_i ~ N(0, I)`: an item is a deviation from the centre of its group `g`.

    Priors `μ_g ~ N(0, centre² I)` and `log σ_g ~ N(log scale, scale_spread² I)`, a scale for each of the `D` numbers.
    The posterior is a mean-field normal over `μ`, `log σ` and `ε`; what is its own of an item is `ε_i` (not centred:
    an item that was hardly seen moves with its group). Under it, with `σ = exp N(a, b²)`,

        E v   = m_μ + E σ · m_ε                    E σ  = exp(a + b² / 2)
        Var v = s_μ² + E σ² · (m_ε² + s_ε²) − (E σ · m_ε)²    E σ² = exp(2 a + 2 b²)

    and the `D` numbers of a vector are independent; two items of a group are not.

    Source: the hierarchical model of Eide, Leslie, Frigessi 2022, which has one scale a group, half-normal, and is
    centred (docs/papers.md).

    Args:
        group: `[N]`, of each item, from 0.
        width: `D`.
        centre: standard deviation of the groups' centres before anything was seen, above 0.
        scale: median of the groups' scales before anything was seen, above 0.
        scale_spread: standard deviation of their logarithm, above 0.
        deviation: of the posterior at the start, as a share of each prior's.
        initial: standard deviation of the means of centres and items at the start, as a share of each prior's.
    """

    def __init__(
        self,
        group: Int[Tensor, " N"],
        width: int = 25,
        centre: float = 1.0,
        scale: float = 0.5,
        scale_spread: float = 0.5,
        deviation: float = 0.1,
        initial: float = 0.01,
    ) -> None:
        super().__init__()
        self.num_items, self.width = len(group), width
        self.centre, self.log_scale, self.scale_spread = centre, math.log(scale), scale_spread
        self.group: Tensor
        self.register_buffer("group", group)
        groups = int(group.max()) + 1
        self.centres = MeanField(groups, width, deviation * centre, initial * centre)
        self.log_scales = MeanField(groups, width, deviation * scale_spread, mean=self.log_scale)
        self.own = MeanField(len(group), width, deviation, initial)

    @classmethod
    def from_log(cls, log: SlateLog, **options: Any) -> GroupedItems:
        """For the items of a log; `options` as above."""
        return cls(torch.from_numpy(log.items.get_column("group").to_numpy().astype("int64")), **options)

    def draw(self, items: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        """See `ItemPosterior.draw`."""
        group = self.group[items].where(items >= 0, -1)
        centres, log_scales = self.centres.draw(group, generator), self.log_scales.draw(group, generator)
        return centres + log_scales.exp() * self.own.draw(items, generator)

    def moments(self, items: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        """See `ItemPosterior.moments`."""
        group = self.group[items]
        centre, centre_variance = self.centres.moments(group)
        log_scale, log_variance = self.log_scales.moments(group)
        own, own_variance = self.own.moments(items)
        scaled = (log_scale + log_variance / 2).exp() * own
        square = (2 * log_scale + 2 * log_variance).exp() * (own.square() + own_variance)
        return centre + scaled, centre_variance + square - scaled.square()

    def draw_shared(self, draws: int, generator: torch.Generator) -> Float[Tensor, "R G 2 D"]:
        """See `ItemPosterior.draw_shared`."""
        groups = torch.arange(len(self.centres.mean), device=self.group.device).expand(draws, -1)
        return torch.stack([self.centres.draw(groups, generator), self.log_scales.draw(groups, generator).exp()], 2)

    def moments_given(
        self, shared: Float[Tensor, "R G 2 D"], items: Int[Tensor, "R K"]
    ) -> tuple[Float[Tensor, "R K D"], Float[Tensor, "R K D"]]:
        """See `ItemPosterior.moments_given`."""
        rows = torch.arange(len(items), device=items.device).unsqueeze(1)
        centre, scale = shared[rows, self.group[items]].unbind(2)
        own, variance = self.own.moments(items)
        return centre + scale * own, scale.square() * variance

    def kl(self, items: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
        """See `ItemPosterior.kl`: of `ε_i`."""
        return self.own.kl(items, 0.0, 1.0)

    def shared_kl(self) -> Float[Tensor, ""]:
        """See `ItemPosterior.shared_kl`: of all centres and scales."""
        groups = torch.arange(len(self.centres.mean), device=self.group.device)
        centres = self.centres.kl(groups, 0.0, self.centre)
        return (centres + self.log_scales.kl(groups, self.log_scale, self.scale_spread)).sum()

    def forget(self, items: Int[Tensor, " E"]) -> None:
        """See `ItemPosterior.forget`: given its group, which others may have told of."""
        self.own.reset(items, 0.0, 1.0)
