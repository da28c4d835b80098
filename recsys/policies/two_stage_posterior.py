"""Posteriors of the scores of retrieved items under a trained slate model."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.models.slates.slate_model import SlateModel
from recsys.nn.affinity import inner_product
from recsys.policies.scorer import Posterior
from recsys.policies.slate_posterior import mean_position, moments_of, product_moments
from recsys.policies.two_stage import RETRIEVED
from recsys.types.context import Context


class TwoStagePosterior(nn.Module, Posterior):
    """The posterior of the scores `a(z, v)` of `C` retrieved items, for a policy inside a `TwoStagePolicy`.

    A sample of the pool consists of an initial state of the user, of the variables that items share (centres and scales
    of groups), and of noise for each of the `C` positions. Given the first two, items are independent normals
    (`ItemPosterior.conditional_moments`), so the scores of a request have exactly their joint distribution.

    - Equal requests retrieve the same items, and so have the same scores under each sample.
    - An item at another position has other noise.
    - Clicked items of the history are at their posterior means; their uncertainty is left out.
    - Mean and standard deviation are those of the pool. The posterior does not learn from feedback.

    The pool takes memory for `pool × (C + 2 G) × D` numbers with `G` groups, and scoring for `B × C × D` at a time.

    Args:
        model: a trained slate model.
        generator: random generator of the pool, on the device of the model.
        size: number of retrieved items `C`.
        pool: number of samples.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, size: int, pool: int = 128) -> None:
        super().__init__()
        self.model = model
        self.pool = pool
        self.num_items = size
        self.initial_noise: Tensor
        self.shared: Tensor
        self.noise: Tensor
        with torch.no_grad():
            self.register_buffer("initial_noise", _normal(generator, pool, model.items.width))
            self.register_buffer("shared", model.items.draw_shared(pool, generator))
            self.register_buffer("noise", self._noise(generator))

    @override
    @torch.no_grad()
    def scores(self, context: Context) -> Float[Tensor, "B C"]:
        return self._moments(context)[0]

    @override
    @torch.no_grad()
    def deviation(self, context: Context) -> Float[Tensor, "B C"]:
        return self._moments(context)[1].sqrt()

    @override
    @torch.no_grad()
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K C"]:
        mean, deviation = mean_position(self.model, context)
        items = retrieved_items(context)
        return torch.stack([self._under(draw, mean, deviation, items) for draw in which.unbind(1)], 1)

    def _under(self, draw: Int[Tensor, " B"], mean: Tensor, deviation: Tensor, items: Tensor) -> Float[Tensor, "B C"]:
        """Return the scores of each request under one sample of its own."""
        item, variance = self.model.items.conditional_moments(self.shared[draw], items)
        return self.model.affinity(
            mean + deviation * self.initial_noise[draw], item + variance.sqrt() * self.noise[draw]
        )

    def _noise(self, generator: torch.Generator) -> Tensor:
        return _normal(generator, self.pool, self.num_items, self.model.items.width)

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        place, items = mean_position(self.model, context), retrieved_items(context)
        every = torch.arange(self.pool, device=items.device).unsqueeze(1).expand(-1, len(items))
        return moments_of(self._under(draw, *place, items) for draw in every)


class InnerProductTwoStagePosterior(TwoStagePosterior):
    """The posterior of inner products of retrieved items, which samples the scores themselves.

    Given `z`, the scores are independent over items: `⟨z, v_i⟩ ~ N(⟨z, E v_i⟩, Σ_d z_d² Var v_id)`. The distribution is
    that of `TwoStagePosterior`. It takes two matrix products for all samples together, and `pool × C` numbers of noise.
    Mean and standard deviation have the closed form of `InnerProductPosterior`. Scoring under `K` samples takes memory
    for `B × (K + D) × C` numbers.

    Args:
        model: a trained slate model with the affinity `inner_product` and items without groups.
        generator: as in `TwoStagePosterior`.
        size: as in `TwoStagePosterior`.
        pool: as in `TwoStagePosterior`.

    Raises:
        ConfigurationError: the model has another affinity, or items in groups.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, size: int, pool: int = 128) -> None:
        super().__init__(model, generator, size, pool)
        if model.affinity is not inner_product or self.shared.numel():
            raise ConfigurationError(
                f"the model's affinity is {model.affinity}, its items are {type(model.items).__name__}; expected "
                "recsys.nn.affinity.inner_product and items without groups. Use TwoStagePosterior"
            )

    @override
    @torch.no_grad()
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K C"]:
        mean, deviation = mean_position(self.model, context)
        users = mean.unsqueeze(1) + deviation.unsqueeze(1) * self.initial_noise[which]
        item, variance = self.model.items.moments(retrieved_items(context))
        spread = (users.square() @ variance.transpose(1, 2)).sqrt_()
        return torch.baddbmm(spread.mul_(self.noise[which]), users, item.transpose(1, 2))

    def _noise(self, generator: torch.Generator) -> Tensor:
        return _normal(generator, self.pool, self.num_items)

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        return product_moments(*mean_position(self.model, context), *self.model.items.moments(retrieved_items(context)))


def retrieved_items(context: Context) -> Int[Tensor, "B C"]:
    """Return the retrieved items; positions without an item hold item 0."""
    return context.features[RETRIEVED].clamp(min=0)


def _normal(generator: torch.Generator, *size: int) -> Tensor:
    return torch.randn(size, generator=generator, device=generator.device)
