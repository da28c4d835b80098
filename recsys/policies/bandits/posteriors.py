"""Conjugate posteriors of bandits: Beta-Bernoulli item rates and Bayesian linear regression."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.types.context import Context
from recsys.types.transition import Transition


class BetaPosterior(nn.Module):
    """`rate_i ~ Beta(clicks_i + a, skips_i + b)`; a slot that earned anything is a click, another is a skip.

    Source: Chapelle and Li 2011, "An empirical evaluation of Thompson sampling".

    Args:
        num_items: `N`.
        clicks: `a`, clicks of every item before anything was seen, above 0.
        skips: `b`, above 0.
        pool: draws kept for Thompson sampling.
    """

    def __init__(self, num_items: int, clicks: float = 1.0, skips: float = 1.0, pool: int = 128) -> None:
        super().__init__()
        self.num_items = num_items
        self.pool = pool
        self.counts: Tensor
        self.draws: Tensor
        self.register_buffer("counts", torch.tensor([[clicks], [skips]], dtype=torch.float32).repeat(1, num_items))
        self.register_buffer("draws", torch.empty(pool, num_items))
        self._draw(torch.Generator().manual_seed(0))

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Scorer.scores`: the posterior mean of the rate."""
        return (self.counts[0] / self.counts.sum(0)).expand(len(context), -1)

    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Posterior.deviation`."""
        total = self.counts.sum(0)
        return (self.counts.prod(0) / (total.square() * (total + 1))).sqrt().expand(len(context), -1)

    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        """See `Posterior.sampled_scores`."""
        return self.draws[which]

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """See `OnlineLearner.update`."""
        items, clicked = transition.slates.items[:, 0], transition.feedback.reward[:, 0] > 0
        for row, slots in enumerate((clicked, ~clicked)):
            self.counts[row] += torch.bincount(items[slots & (items >= 0)], minlength=self.num_items)
        self._draw(generator)

    def _draw(self, generator: torch.Generator) -> None:
        # torch's own beta distribution takes no generator.
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        clicks, skips = self.counts.cpu().double().numpy()
        draws = np.random.default_rng(int(seed)).beta(clicks, skips, tuple(self.draws.shape))
        self.draws.copy_(torch.from_numpy(draws))


@runtime_checkable
class Features(Protocol):
    """What of an item and a request is known before it is shown."""

    width: int

    def __call__(self, context: Context) -> Float[Tensor, "B N F"]:
        """`F = width` numbers for every item and request."""
        ...


class LinearPosterior(nn.Module):
    """`r = ⟨w, φ⟩ + N(0, noise²)` with `w ~ N(0, prior² I)`: mean `A⁻¹ b`, covariance `A⁻¹`, and draws of `w`.

    `A = I / prior² + Σ φ φᵀ / noise²`, `b = Σ φ r / noise²` over every slot shown so far. Source: Agrawal and Goyal
    2013, "Thompson sampling for contextual bandits with linear payoffs".

    Args:
        features: of every item for every request.
        num_items: `N`.
        prior: standard deviation of each weight before anything was seen.
        noise: standard deviation of a reward.
        pool: draws kept for Thompson sampling.
    """

    def __init__(
        self,
        features: Features,
        num_items: int,
        prior: float = 1.0,
        noise: float = 0.5,
        pool: int = 128,
    ) -> None:
        super().__init__()
        self.features = features
        self.num_items = num_items
        self.noise = noise
        self.pool = pool
        width = features.width
        self.precision: Tensor
        self.weighted: Tensor
        self.draws: Tensor
        self.register_buffer("precision", torch.eye(width, dtype=torch.float64) / prior**2)
        self.register_buffer("weighted", torch.zeros(width, dtype=torch.float64))
        first = torch.Generator().manual_seed(0)
        self.register_buffer("draws", (prior * torch.randn(pool, width, generator=first, dtype=torch.float64)).float())

    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Scorer.scores`: the posterior mean."""
        return self.features(context) @ self._mean().float()

    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Posterior.deviation`: `√(φᵀ A⁻¹ φ)`."""
        identity = torch.eye(len(self.weighted), dtype=torch.float64, device=self.weighted.device)
        half = torch.linalg.solve_triangular(self._root(), identity, upper=False)
        return (self.features(context) @ half.T.float()).norm(dim=-1)

    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        """See `Posterior.sampled_scores`."""
        return self.draws[which] @ self.features(context).transpose(1, 2)

    def update(self, transition: Transition, generator: torch.Generator) -> None:
        """See `OnlineLearner.update`: every slot that shows an item counts, clicked or not."""
        items, reward = transition.slates.items[:, 0], transition.feedback.reward[:, 0]
        every = self.features(transition.context)
        shown = items >= 0
        seen = every.gather(1, items.clamp(min=0).unsqueeze(-1).expand(-1, -1, every.shape[-1]))[shown].double()
        self.precision += seen.T @ seen / self.noise**2
        self.weighted += seen.T @ reward[shown].double() / self.noise**2
        noise = torch.randn(self.draws.shape, generator=generator, device=self.draws.device, dtype=torch.float64)
        spread = torch.linalg.solve_triangular(self._root().T, noise.T, upper=True).T
        self.draws.copy_(self._mean() + spread)

    def _root(self) -> Tensor:
        return torch.linalg.cholesky(self.precision)

    def _mean(self) -> Tensor:
        return torch.cholesky_solve(self.weighted.unsqueeze(1), self._root()).squeeze(1)
