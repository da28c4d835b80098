"""The posterior of a slate model over the scores of retrieved items."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.models.slates.slate_model import SlateModel
from recsys.nn.affinity import inner_product
from recsys.policies.slate_posterior import mean_position, moments_of, product_moments
from recsys.policies.two_stage import RETRIEVED
from recsys.types.context import Context


class TwoStagePosterior(nn.Module):
    """Scores `a(z, v)` of `C` shortlisted items under a pool of draws, for a policy inside a `TwoStagePolicy`.

    A draw is one of where the user began, of what items share (centres and scales of groups, which two items of a group
    have in common), and of noise for each position of the shortlist: given the first two, items are independent normals
    (`ItemPosterior.conditional_moments`), so that a request's scores have their joint distribution exactly. A request
    that asks again finds the same shortlist and so the same draws. An item has other noise where it stands at another
    position, and clicked items of the history are at their means: what is not known of them is left out. Mean and
    deviation are those of the pool. Nothing here learns from answers.

    Needs memory for `pool × (C + 2 G) × D` numbers, `G` the number of groups, and for `B × C × D` at a time.

    Args:
        model: trained.
        generator: of the pool, on the device of the model.
        size: `C`.
        pool: draws.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, size: int, pool: int = 128) -> None:
        super().__init__()
        self.model = model
        self.pool = pool
        self.num_items = size
        self.starts: Tensor
        self.shared: Tensor
        self.noise: Tensor
        with torch.no_grad():
            self.register_buffer("starts", _normal(generator, pool, model.items.width))
            self.register_buffer("shared", model.items.draw_shared(pool, generator))
            self.register_buffer("noise", self._noise(generator))

    @torch.no_grad()
    def scores(self, context: Context) -> Float[Tensor, "B C"]:
        """See `Scorer.scores`: the mean over the pool."""
        return self._moments(context)[0]

    @torch.no_grad()
    def deviation(self, context: Context) -> Float[Tensor, "B C"]:
        """See `Posterior.deviation`: over the pool."""
        return self._moments(context)[1].sqrt()

    @torch.no_grad()
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K C"]:
        """See `Posterior.sampled_scores`."""
        mean, deviation = mean_position(self.model, context)
        items = retrieved_items(context)
        return torch.stack([self._under(draw, mean, deviation, items) for draw in which.unbind(1)], 1)

    def _under(self, draw: Int[Tensor, " B"], mean: Tensor, deviation: Tensor, items: Tensor) -> Float[Tensor, "B C"]:
        """Scores of each request under a draw of its own."""
        item, variance = self.model.items.conditional_moments(self.shared[draw], items)
        return self.model.affinity(mean + deviation * self.starts[draw], item + variance.sqrt() * self.noise[draw])

    def _noise(self, generator: torch.Generator) -> Tensor:
        return _normal(generator, self.pool, self.num_items, self.model.items.width)

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        place, items = mean_position(self.model, context), retrieved_items(context)
        every = torch.arange(self.pool, device=items.device).unsqueeze(1).expand(-1, len(items))
        return moments_of(self._under(draw, *place, items) for draw in every)


class InnerProductTwoStagePosterior(TwoStagePosterior):
    """Draws of the scores themselves: given `z`, `⟨z, v_i⟩ ~ N(⟨z, E v_i⟩, Σ_d z_d² Var v_id)`, independent over items.

    The same distribution as a `TwoStagePosterior`'s by two matrix products for all draws together, from `pool × C`
    numbers of noise. Mean and deviation have the closed form of `InnerProductPosterior`. Needs memory for
    `B × (K + D) × C` numbers under `K` draws.

    Args:
        model: trained, with `inner_product` for affinity and items that share nothing.
        generator: see `TwoStagePosterior`.
        size: see `TwoStagePosterior`.
        pool: see `TwoStagePosterior`.

    Raises:
        ConfigurationError: the model has another affinity, or items in groups.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, size: int, pool: int = 128) -> None:
        super().__init__(model, generator, size, pool)
        if model.affinity is not inner_product or self.shared.numel():
            raise ConfigurationError(
                f"the model's affinity is {model.affinity}, its items are {type(model.items).__name__}; scores are "
                "independent normals for recsys.nn.affinity.inner_product and items that share nothing only: take "
                "ShortlistPosterior"
            )

    @torch.no_grad()
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K C"]:
        """See `Posterior.sampled_scores`."""
        mean, deviation = mean_position(self.model, context)
        users = mean.unsqueeze(1) + deviation.unsqueeze(1) * self.starts[which]
        item, variance = self.model.items.moments(retrieved_items(context))
        spread = (users.square() @ variance.transpose(1, 2)).sqrt_()
        return torch.baddbmm(spread.mul_(self.noise[which]), users, item.transpose(1, 2))

    def _noise(self, generator: torch.Generator) -> Tensor:
        return _normal(generator, self.pool, self.num_items)

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        return product_moments(*mean_position(self.model, context), *self.model.items.moments(retrieved_items(context)))


def retrieved_items(context: Context) -> Int[Tensor, "B C"]:
    """The items of the shortlist; some item where there is none."""
    return context.features[RETRIEVED].clamp(min=0)


def _normal(generator: torch.Generator, *size: int) -> Tensor:
    return torch.randn(size, generator=generator, device=generator.device)
