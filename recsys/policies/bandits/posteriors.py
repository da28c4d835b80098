"""Conjugate posteriors of bandits: Beta-Bernoulli item rates and Bayesian linear regression."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.policies.scorer import OnlineLearner, Posterior, require_finite_rewards
from recsys.ranges import above, at_least
from recsys.types.context import Context
from recsys.types.transition import Transition


class BetaPosterior(nn.Module, Posterior, OnlineLearner):
    """The Beta–Bernoulli posterior of click rates: `rate_i ~ Beta(clicks_i + a, skips_i + b)`.

    A slot with a positive reward counts as a click, any other shown item as a skip.

    Source: Chapelle and Li 2011, "An empirical evaluation of Thompson sampling".

    Args:
        num_items: number of items `N`.
        clicks: prior number of clicks `a` of every item, above 0.
        skips: prior number of skips `b` of every item, above 0.
        pool: number of samples for Thompson sampling.
    """

    def __init__(self, num_items: int, clicks: float = 1.0, skips: float = 1.0, pool: int = 128) -> None:
        at_least(1, num_items=num_items, pool=pool)
        above(0, clicks=clicks, skips=skips)
        super().__init__()
        self.num_items = num_items
        self.pool = pool
        self.counts: Tensor
        self.draws: Tensor
        self.register_buffer("counts", torch.tensor([[clicks], [skips]], dtype=torch.float32).repeat(1, num_items))
        self.register_buffer("draws", torch.empty(pool, num_items))
        self._draw(torch.Generator().manual_seed(0))

    @override
    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        return (self.counts[0] / self.counts.sum(0)).expand(len(context), -1)

    @override
    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        total = self.counts.sum(0)
        return (self.counts.prod(0) / (total.square() * (total + 1))).sqrt().expand(len(context), -1)

    @override
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        return self.draws[which]

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        require_finite_rewards(transition)
        transition.slates.check(self.num_items)
        items, clicked = transition.slates.items[:, 0], transition.feedback.reward[:, 0] > 0
        for row, slots in enumerate((clicked, ~clicked)):
            self.counts[row] += torch.bincount(items[slots & (items >= 0)], minlength=self.num_items)
        self._draw(generator)

    def _draw(self, generator: torch.Generator) -> None:
        # The beta distribution of torch takes no generator.
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        clicks, skips = self.counts.cpu().double().numpy()
        draws = np.random.default_rng(int(seed)).beta(clicks, skips, tuple(self.draws.shape))
        self.draws.copy_(torch.from_numpy(draws))


@runtime_checkable
class Features(Protocol):
    """A function that computes features of each item for each request.

    Attributes:
        width: number of features `F`.
    """

    width: int

    def __call__(self, context: Context) -> Float[Tensor, "B N F"]:
        """Return the features of every item for each request."""
        ...


LARGEST_RATIO = 1e4
"""Ratio of the scales of directions up to which a score in float32 keeps three digits of what was learned."""


class LinearPosterior(nn.Module, Posterior, OnlineLearner):
    """The posterior of Bayesian linear regression of rewards on features, `r = ⟨w, φ⟩ + N(0, noise²)`.

    The prior is `w ~ N(0, prior² I)`. The posterior has mean `A⁻¹ b` and covariance `A⁻¹`, with `A = I / prior² + Σ φ
    φᵀ / noise²` and `b = Σ φ r / noise²` over every item shown so far, clicked or not. The standard deviation of a
    score is `√(φᵀ A⁻¹ φ)`.

    What is kept is a triangular root of `A`, updated by a QR decomposition of itself and the new features (the
    square-root information filter: Bierman 1977, "Factorization methods for discrete sequential estimation", chapter
    5). Features of any scale, equal or collinear ones too, keep the prior: `Σ φφᵀ / noise²` may exceed it 1e24-fold,
    where the sum itself forgets it beyond 1e16. Mean and deviation are computed in float64, and so are scores where
    float32 would lose digits to features of very different scales (`LARGEST_RATIO`). Samples are float32, so that a
    sampled score is exact to 1e-7 of its largest term.

    Source: Agrawal and Goyal 2013, "Thompson sampling for contextual bandits with linear payoffs".

    Args:
        features: features of every item for each request.
        num_items: number of items `N`.
        prior: prior standard deviation of each weight.
        noise: standard deviation of the noise of a reward.
        pool: number of samples for Thompson sampling.
    """

    def __init__(
        self,
        features: Features,
        num_items: int,
        prior: float = 1.0,
        noise: float = 0.5,
        pool: int = 128,
    ) -> None:
        at_least(1, num_items=num_items, pool=pool)
        above(0, prior=prior, noise=noise)
        super().__init__()
        self.features = features
        self.num_items = num_items
        self.noise = noise
        self.pool = pool
        width = features.width
        self.root: Tensor
        self.rotated: Tensor
        self.draws: Tensor
        self.register_buffer("root", torch.eye(width, dtype=torch.float64) / prior)
        self.register_buffer("rotated", torch.zeros(width, dtype=torch.float64))
        first = torch.Generator().manual_seed(0)
        self.register_buffer("draws", (prior * torch.randn(pool, width, generator=first, dtype=torch.float64)).float())

    @property
    def precision(self) -> Float[Tensor, "F F"]:
        """The inverse covariance `A` of the weights, float64; where features are large, rounding drops the prior."""
        return self.root.T @ self.root

    @property
    def mean(self) -> Float[Tensor, " F"]:
        """The mean `A⁻¹ b` of the weights, float64."""
        return torch.linalg.solve_triangular(self.root, self.rotated.unsqueeze(1), upper=True).squeeze(1)

    @override
    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        features, mean = self.features(context), self.mean
        scale = self.root.diagonal()
        if scale.amax() > LARGEST_RATIO * scale.amin():  # terms of some weights may be far larger than their sum
            return (features.double() @ mean).float()
        return features @ mean.float()

    @override
    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        identity = torch.eye(len(self.root), dtype=torch.float64, device=self.root.device)
        half = torch.linalg.solve_triangular(self.root, identity, upper=True)
        return (self.features(context).double() @ half).norm(dim=-1).float()

    @override
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        return self.draws[which] @ self.features(context).transpose(1, 2)

    @override
    def update(self, transition: Transition, generator: torch.Generator) -> None:
        require_finite_rewards(transition)
        transition.slates.check(self.num_items)
        items, reward = transition.slates.items[:, 0], transition.feedback.reward[:, 0]
        every = self.features(transition.context)
        shown = items >= 0
        seen = every.gather(1, items.clamp(min=0).unsqueeze(-1).expand(-1, -1, every.shape[-1]))[shown].double()
        self._learn(torch.cat([seen, reward[shown].double().unsqueeze(1)], 1) / self.noise)
        noise = torch.randn(self.draws.shape, generator=generator, device=self.draws.device, dtype=torch.float64)
        spread = torch.linalg.solve_triangular(self.root, noise.T, upper=True).T
        self.draws.copy_(self.mean + spread)

    def _learn(self, rows: Float[Tensor, "n F1"]) -> None:
        """Take in features and rewards in units of the noise: `RᵀR` and `Rᵀ rotated` become the new `A` and `b`."""
        width = len(self.root)
        known = torch.cat([self.root, self.rotated.unsqueeze(1)], 1)
        joined = torch.linalg.qr(torch.cat([known, rows]), mode="r").R[:width]
        joined = joined * torch.where(joined.diagonal() < 0, -1.0, 1.0).unsqueeze(1)
        self.root.copy_(joined[:, :width])
        self.rotated.copy_(joined[:, width])
