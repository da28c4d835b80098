"""Variational posteriors of item vectors: independent items, and items in groups with a hierarchical prior."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.data.datasets.slate_log import SlateLog
from recsys.nn.mean_field import MeanField
from recsys.ranges import above, at_least


class ItemPosterior(nn.Module, ABC):
    """A prior and a variational posterior of the vectors of `N` items.

    Attributes:
        num_items: number of items `N`.
        width: width `D` of the vectors.
    """

    num_items: int
    width: int

    @abstractmethod
    def draw(self, items: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        """Return a differentiable sample of item vectors. Each row has an independent sample of all variables.

        Within a row, equal items have the same vector, and items of a group share its centre and scale.

        Args:
            items: items of each row; −1 means none and gives the vector 0.
            generator: random generator on the device of the parameters.
        """

    @abstractmethod
    def moments(self, items: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        """Return the exact mean and variance of each entry of the items' vectors."""

    @abstractmethod
    def draw_shared(self, draws: int, generator: torch.Generator) -> Float[Tensor, "R G 2 D"]:
        """Return `R = draws` samples of the variables that items share: centre and scale of each of `G` groups.

        Args:
            draws: number of samples.
            generator: random generator on the device of the parameters.

        Returns:
            `[R, G, 2, D]`; `G = 0` if items share no variables.
        """

    @abstractmethod
    def conditional_moments(
        self, shared: Float[Tensor, "R G 2 D"], items: Int[Tensor, "R K"]
    ) -> tuple[Float[Tensor, "R K D"], Float[Tensor, "R K D"]]:
        """Return mean and variance of item vectors given the shared variables. Their entries are independent normals.

        Args:
            shared: samples of the shared variables, from `draw_shared`, one for each row.
            items: items of each row.
        """

    @abstractmethod
    def kl(self, items: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
        """Return the KL divergence from the prior of the variables of each item, in nats; shared ones are left out."""

    @abstractmethod
    def shared_kl(self) -> Float[Tensor, ""]:
        """Return the KL divergence from the prior of the shared variables, in nats; 0 if there are none."""

    @abstractmethod
    def reset_to_prior(self, items: Int[Tensor, " E"]) -> None:
        """Set the variables of the items to their prior, which is the posterior of an item that no slate shows."""


class FlatItems(ItemPosterior):
    """Independent items: the prior is `v_i ~ N(0, s² I)`, the posterior a mean-field normal.

    Source: the flat model of Eide, Leslie, Frigessi 2022, without the `tanh` that the released code applies to vectors.

    Args:
        num_items: number of items `N`.
        width: width `D` of the vectors.
        prior: standard deviation `s` of the prior, above 0.
        deviation: initial standard deviation of the posterior, as a share of `s`.
        initial: standard deviation of the initial means of the posterior, as a share of `s`.
    """

    def __init__(
        self, num_items: int, width: int = 25, prior: float = 1.0, deviation: float = 0.1, initial: float = 0.01
    ) -> None:
        at_least(1, num_items=num_items, width=width)
        above(0, prior=prior, deviation=deviation)
        at_least(0, initial=initial)
        super().__init__()
        self.num_items, self.width, self.prior = num_items, width, prior
        self.vectors = MeanField(num_items, width, deviation * prior, initial * prior)

    @classmethod
    def from_log(
        cls, log: SlateLog, width: int = 25, prior: float = 1.0, deviation: float = 0.1, initial: float = 0.01
    ) -> FlatItems:
        """Return a posterior for the items of a log; the other arguments are those of the class."""
        at_least(1, width=width)
        above(0, prior=prior, deviation=deviation)
        at_least(0, initial=initial)
        return cls(log.num_items, width, prior, deviation, initial)

    @override
    def draw(self, items: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        return self.vectors.draw(items, generator)

    @override
    def moments(self, items: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        return self.vectors.moments(items)

    @override
    def draw_shared(self, draws: int, generator: torch.Generator) -> Float[Tensor, "R G 2 D"]:
        return self.vectors.mean.new_zeros(draws, 0, 2, self.width)

    @override
    def conditional_moments(
        self, shared: Float[Tensor, "R G 2 D"], items: Int[Tensor, "R K"]
    ) -> tuple[Float[Tensor, "R K D"], Float[Tensor, "R K D"]]:
        return self.moments(items)

    @override
    def kl(self, items: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
        return self.vectors.kl(items, 0.0, self.prior)

    @override
    def shared_kl(self) -> Float[Tensor, ""]:
        return self.vectors.mean.new_zeros(())

    @override
    def reset_to_prior(self, items: Int[Tensor, " E"]) -> None:
        self.vectors.reset(items, 0.0, self.prior)


class GroupedItems(ItemPosterior):
    """Items in groups: the vector of item `i` of group `g` is `v_i = μ_g + σ_g ⊙ ε_i`.

    The priors are `μ_g ~ N(0, centre² I)`, `log σ_g ~ N(log scale, scale_spread² I)`, with a scale for each of the `D`
    entries, and `ε_i ~ N(0, I)`. The posterior is a mean-field normal over `μ`, `log σ` and `ε`. This parametrisation
    is non-centred: an item with little data moves with its group. Under the posterior, with `σ = exp N(a, b²)`,

        E v   = m_μ + E σ · m_ε                    E σ  = exp(a + b² / 2)
        Var v = s_μ² + E σ² · (m_ε² + s_ε²) − (E σ · m_ε)²    E σ² = exp(2 a + 2 b²)

    The `D` entries of a vector are independent; two items of a group are not.

    Source: the hierarchical model of Eide, Leslie, Frigessi 2022, which has one half-normal scale for each group and a
    centred parametrisation (docs/papers.md).

    Args:
        group: `[N]`, group of each item, from 0.
        width: width `D` of the vectors.
        centre: standard deviation of the prior of the groups' centres, above 0.
        scale: median of the prior of the groups' scales, above 0.
        scale_spread: standard deviation of the prior of their logarithms, above 0.
        deviation: initial standard deviation of the posterior, as a share of the prior's.
        initial: standard deviation of the initial means of centres and items, as a share of the prior's.
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
        at_least(1, width=width)
        above(0, centre=centre, scale=scale, scale_spread=scale_spread, deviation=deviation)
        at_least(0, initial=initial)
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
    def from_log(
        cls,
        log: SlateLog,
        width: int = 25,
        centre: float = 1.0,
        scale: float = 0.5,
        scale_spread: float = 0.5,
        deviation: float = 0.1,
        initial: float = 0.01,
    ) -> GroupedItems:
        """Return a posterior for the items of a log; the other arguments are those of the class."""
        at_least(1, width=width)
        above(0, centre=centre, scale=scale, scale_spread=scale_spread, deviation=deviation)
        at_least(0, initial=initial)
        group = torch.from_numpy(log.items.get_column("group").to_numpy().astype("int64"))
        return cls(group, width, centre, scale, scale_spread, deviation, initial)

    @override
    def draw(self, items: Int[Tensor, "R K"], generator: torch.Generator) -> Float[Tensor, "R K D"]:
        group = self.group[items].where(items >= 0, -1)
        centres, log_scales = self.centres.draw(group, generator), self.log_scales.draw(group, generator)
        return centres + log_scales.exp() * self.own.draw(items, generator)

    @override
    def moments(self, items: Int[Tensor, "*R"]) -> tuple[Float[Tensor, "*R D"], Float[Tensor, "*R D"]]:
        group = self.group[items]
        centre, centre_variance = self.centres.moments(group)
        log_scale, log_variance = self.log_scales.moments(group)
        own, own_variance = self.own.moments(items)
        scaled = (log_scale + log_variance / 2).exp() * own
        square = (2 * log_scale + 2 * log_variance).exp() * (own.square() + own_variance)
        return centre + scaled, centre_variance + square - scaled.square()

    @override
    def draw_shared(self, draws: int, generator: torch.Generator) -> Float[Tensor, "R G 2 D"]:
        groups = torch.arange(len(self.centres.mean), device=self.group.device).expand(draws, -1)
        return torch.stack([self.centres.draw(groups, generator), self.log_scales.draw(groups, generator).exp()], 2)

    @override
    def conditional_moments(
        self, shared: Float[Tensor, "R G 2 D"], items: Int[Tensor, "R K"]
    ) -> tuple[Float[Tensor, "R K D"], Float[Tensor, "R K D"]]:
        rows = torch.arange(len(items), device=items.device).unsqueeze(1)
        centre, scale = shared[rows, self.group[items]].unbind(2)
        own, variance = self.own.moments(items)
        return centre + scale * own, scale.square() * variance

    @override
    def kl(self, items: Int[Tensor, " E"]) -> Float[Tensor, " E"]:
        return self.own.kl(items, 0.0, 1.0)

    @override
    def shared_kl(self) -> Float[Tensor, ""]:
        groups = torch.arange(len(self.centres.mean), device=self.group.device)
        centres = self.centres.kl(groups, 0.0, self.centre)
        return (centres + self.log_scales.kl(groups, self.log_scale, self.scale_spread)).sum()

    @override
    def reset_to_prior(self, items: Int[Tensor, " E"]) -> None:
        self.own.reset(items, 0.0, 1.0)
