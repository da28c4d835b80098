"""Variational posteriors over item vectors: independent items, and items grouped in a hierarchical prior."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.data.datasets.slate_log import SlateLog
from recsys.nn.mean_field import MeanField


class ItemPosterior(nn.Module, ABC):
    """A distribution over the vectors of `N` items beside their prior."""

    num_items: int
    """`N`."""
    width: int
    """`D`."""

    @abstractmethod
    def draw(self, items: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        """One draw of all vectors a row, with gradient: in a row an item has one vector, and a group one centre.

        Args:
            items: −1 where there is none; its vector is 0.
            generator: on the device of the parameters.
        """

    @abstractmethod
    def moments(self, items: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        """Mean and variance of each number of the named items' vectors, exact."""

    @abstractmethod
    def draw_shared(self, draws: int, generator: torch.Generator) -> Float[Tensor, "R G 2 D"]:
        """What items share, drawn `R = draws` times: each group's centre and scale; `G = 0` where they share nothing.

        Args:
            draws: how many.
            generator: on the device of the parameters.
        """

    @abstractmethod
    def moments_given(
        self, shared: Float[Tensor, "R G 2 D"], items: Int[Tensor, "R K"]
    ) -> tuple[Float[Tensor, "R K D"], Float[Tensor, "R K D"]]:
        """Mean and variance where what items share is known, row by row; all numbers are then independent normals."""

    @abstractmethod
    def kl(self, items: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
        """Nats from the prior of what is each named item's own."""

    @abstractmethod
    def shared_kl(self) -> Float[Tensor, ""]:
        """Nats from the prior of what items share; 0 where they share nothing."""

    @abstractmethod
    def forget(self, items: Int[Tensor, " E"]) -> None:
        """Back to the prior, which is the posterior of an item that no slate shows."""


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
