"""Posteriors of the scores of all items under a trained slate model."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.models.slates.slate_model import SlateModel
from recsys.nn.affinity import inner_product
from recsys.policies.scorer import Posterior
from recsys.types.context import Context


class SlatePosterior(nn.Module, Posterior):
    """The posterior of the scores `a(z, v_i)`, as a pool of samples of item vectors and initial states.

    A sample fixes the vector of every item, both as a scored item and as a clicked item of a history. Mean and standard
    deviation are those of the pool. The model is trained before and does not learn from feedback here; `SlateLearner`
    does. The pool is kept until `redraw`.

    The pool takes memory for `pool × N × D` numbers. Scoring `B` requests with up to `H` clicks under `K` samples takes
    `B × K × H × D`. For large catalogues use `TwoStagePosterior`.

    Source: Eide, Leslie, Frigessi 2022.

    Args:
        model: a trained slate model.
        generator: random generator of the pool, on the device of the model.
        pool: number of samples.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, pool: int = 128) -> None:
        super().__init__()
        self.model = model
        self.pool = pool
        self.num_items = model.items.num_items
        self.draws: Tensor
        self.initial_noise: Tensor
        self.register_buffer("draws", None)
        self.register_buffer("initial_noise", None)
        self.redraw(generator)

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Sample a new pool."""
        every = torch.arange(self.num_items, device=generator.device).expand(self.pool, -1)
        self.draws = self.model.items.draw(every, generator)
        size = (self.pool, self.model.items.width)
        self.initial_noise = torch.randn(size, generator=generator, device=generator.device)

    @override
    @torch.no_grad()
    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        return self._moments(context)[0]

    @override
    @torch.no_grad()
    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        return self._moments(context)[1].sqrt()

    @override
    @torch.no_grad()
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        users = self.positions(context, which)
        found = users.new_empty(*which.shape, self.num_items)
        for draw in which.unique().tolist():
            here = which == draw
            found[here] = self.model.affinity(users[here], self.draws[draw])
        return found

    def positions(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        """Return the user vectors `z` after the clicks of the history, under samples of the pool.

        Args:
            context: `B` requests, whose histories are clicked items.
            which: samples of each request, from `0 .. pool − 1`.
        """
        context.check(self.num_items, ["history"])
        clicked = context.history.to_padded(-1).unsqueeze(1).expand(-1, which.shape[1], -1)
        vectors = self.draws[which.unsqueeze(2), clicked.clamp(min=0)]
        mean, deviation = self.model.initial_state.posterior(vectors, clicked >= 0)
        start = mean[:, :, -1] + deviation[:, :, -1] * self.initial_noise[which]
        known = (clicked >= 0).flatten(0, 1)
        return self.model.user(start.flatten(0, 1), vectors.flatten(0, 1), known)[:, -1].view(*which.shape, -1)

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        """Return mean and variance of the scores."""
        every = torch.arange(self.pool, device=self.draws.device).expand(len(context), -1)
        positions = self.positions(context, every).unbind(1)
        return moments_of(self.model.affinity(users, self.draws[draw]) for draw, users in enumerate(positions))


class InnerProductPosterior(SlatePosterior):
    """The posterior of inner products `⟨z, v_i⟩`, with clicked items of the history at their posterior means.

    The entries of `z ~ N(m, s²)` and `v_i` are then independent, and mean and standard deviation have a closed form:
    `⟨m, E v_i⟩` and `√(Σ_d m_d² Var v_id + s_d² (E v_id)² + s_d² Var v_id)`. They take three matrix products instead of
    one for each sample, and a history is read once. `mean_position` gives `m` and `s`. The uncertainty of clicked items
    is left out: if `z` and `v_i` shared a sample, the variance of their product would have no closed form.

    Args:
        model: a trained slate model whose affinity is `inner_product`.
        generator: as in `SlatePosterior`.
        pool: as in `SlatePosterior`.

    Raises:
        ConfigurationError: the model has another affinity.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, pool: int = 128) -> None:
        if model.affinity is not inner_product:
            raise ConfigurationError(
                f"the model's affinity is {model.affinity}; mean and deviation have a closed form for "
                "recsys.nn.affinity.inner_product only. Use SlatePosterior"
            )
        super().__init__(model, generator, pool)

    @override
    def positions(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        mean, deviation = mean_position(self.model, context)
        return mean.unsqueeze(1) + deviation.unsqueeze(1) * self.initial_noise[which]

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        every = torch.arange(self.num_items, device=self.initial_noise.device)
        return product_moments(*mean_position(self.model, context), *self.model.items.moments(every))


def mean_position(model: SlateModel, context: Context) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
    """Return mean and standard deviation of `z`, with clicked items at their posterior means.

    The standard deviation is the change of `z` for one standard deviation of the initial state. It is exact for linear
    user models.
    """
    context.check(model.items.num_items, ["history"])
    clicked = context.history.to_padded(-1)
    known = clicked >= 0
    vectors, _ = model.items.moments(clicked.clamp(min=0))
    mean, deviation = (part[:, -1] for part in model.initial_state.posterior(vectors, known))
    here, there = (model.user(start, vectors, known)[:, -1] for start in (mean, mean + deviation))
    return here, (there - here).abs()


def product_moments(
    mean: Float[Tensor, "B D"],
    deviation: Float[Tensor, "B D"],
    item: Float[Tensor, "*B N D"],
    variance: Float[Tensor, "*B N D"],
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
    """Return mean and variance of `⟨z, v⟩` for vectors with independent entries.

    Args:
        mean: mean of each entry of `z`.
        deviation: standard deviation of each entry of `z`.
        item: mean of each entry of the item vectors `v`.
        variance: variance of each entry of the item vectors.

    >>> one, two, three = torch.ones(1, 1), torch.full((1, 1), 2.0), torch.full((1, 1), 3.0)
    >>> product_moments(two, one, three, one)  # 2 · 3, 2² · 1 + 1² · 3² + 1² · 1
    (tensor([[6.]]), tensor([[14.]]))
    """
    spread = deviation.square()
    return inner_product(mean, item), inner_product(mean.square() + spread, variance) + inner_product(
        spread, item.square()
    )


def moments_of(draws: Iterable[Float[Tensor, "*rows"]]) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"]]:
    """Return mean and variance over samples, read one at a time (Welford 1962). There is at least one.

    >>> moments_of([torch.tensor(1.0), torch.tensor(3.0)])
    (tensor(2.), tensor(1.))
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for count, draw in enumerate(draws, start=1):
        change = draw - mean
        mean = mean + change / count
        squares = squares + change * (draw - mean)
    return mean, squares / count
