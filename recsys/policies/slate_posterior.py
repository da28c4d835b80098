"""The posterior of a trained slate model over every item's score."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.errors import ConfigurationError
from recsys.models.slates.slate_model import SlateModel
from recsys.nn.affinity import inner_product
from recsys.types.context import Context


class SlatePosterior(nn.Module):
    """Scores `a(z, v_i)` under a pool of draws of everything: items, start, and by them where the user stands.

    In a draw an item has one vector, whether it is scored or stands in a request's history, which is the items the
    user clicked. Mean and deviation are those of the pool. The model is trained: nothing here learns from answers
    (`SlateLearner` does), and the pool stays as it was drawn until `redraw`.

    Needs memory for `pool × N × D` numbers and, for `B` requests with up to `H` clicks under `K` draws, for
    `B × K × H × D`. For large catalogues a shortlist comes first. Source: Eide, Leslie, Frigessi 2022.

    Args:
        model: trained.
        generator: of the pool, on the device of the model.
        pool: draws.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, pool: int = 128) -> None:
        super().__init__()
        self.model = model
        self.pool = pool
        self.num_items = model.items.num_items
        self.draws: Tensor
        self.starts: Tensor
        self.register_buffer("draws", None)
        self.register_buffer("starts", None)
        self.redraw(generator)

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Draw the pool anew."""
        every = torch.arange(self.num_items, device=generator.device).expand(self.pool, -1)
        self.draws = self.model.items.draw(every, generator)
        size = (self.pool, self.model.items.width)
        self.starts = torch.randn(size, generator=generator, device=generator.device)

    @torch.no_grad()
    def scores(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Scorer.scores`: the mean over the pool."""
        return self._moments(context)[0]

    @torch.no_grad()
    def deviation(self, context: Context) -> Float[Tensor, "B N"]:
        """See `Posterior.deviation`: over the pool."""
        return self._moments(context)[1].sqrt()

    @torch.no_grad()
    def sampled_scores(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K N"]:
        """See `Posterior.sampled_scores`."""
        users = self.positions(context, which)
        found = users.new_empty(*which.shape, self.num_items)
        for draw in which.unique().tolist():
            here = which == draw
            found[here] = self.model.affinity(users[here], self.draws[draw])
        return found

    def positions(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        """`z` after the clicks of the history, under the named draws."""
        clicked = context.history.to_padded(-1).unsqueeze(1).expand(-1, which.shape[1], -1)
        vectors = self.draws[which.unsqueeze(2), clicked.clamp(min=0)]
        mean, deviation = self.model.start.posterior(vectors, clicked >= 0)
        start = mean[:, :, -1] + deviation[:, :, -1] * self.starts[which]
        known = (clicked >= 0).flatten(0, 1)
        return self.model.user(start.flatten(0, 1), vectors.flatten(0, 1), known)[:, -1].view(*which.shape, -1)

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        """Mean and variance over the pool."""
        every = torch.arange(self.pool, device=self.draws.device).expand(len(context), -1)
        positions = self.positions(context, every).unbind(1)
        return moments_of(self.model.affinity(users, self.draws[draw]) for draw, users in enumerate(positions))


class InnerProductPosterior(SlatePosterior):
    """Scores `⟨z, v_i⟩` of users of whom the start is not known, and who were moved by clicked items at their means.

    Mean and deviation have a closed form, as all numbers of `z ~ N(m, s²)` and of `v_i` are independent: `⟨m, E v_i⟩`
    and `√(Σ_d m_d² Var v_id + s_d² (E v_id)² + s_d² Var v_id)`. They take three products instead of one for every draw,
    and a request's history is read once; `m` and `s` are those of `mean_position`. What is not known of the items that
    moved the user is left out: where `z` and `v_i` depend on the same draw, the variance of their product has no closed
    form.

    Args:
        model: trained, with `inner_product` for affinity.
        generator: see `SlatePosterior`.
        pool: see `SlatePosterior`.

    Raises:
        ConfigurationError: the model has another affinity.
    """

    def __init__(self, model: SlateModel, generator: torch.Generator, pool: int = 128) -> None:
        if model.affinity is not inner_product:
            raise ConfigurationError(
                f"the model's affinity is {model.affinity}; mean and deviation are known in closed form for "
                "recsys.nn.affinity.inner_product only: take SlatePosterior"
            )
        super().__init__(model, generator, pool)

    def positions(self, context: Context, which: Int[Tensor, "B K"]) -> Float[Tensor, "B K D"]:
        """`z` after the clicks of the history, by the start of each draw."""
        mean, deviation = mean_position(self.model, context)
        return mean.unsqueeze(1) + deviation.unsqueeze(1) * self.starts[which]

    def _moments(self, context: Context) -> tuple[Tensor, Tensor]:
        every = torch.arange(self.num_items, device=self.starts.device)
        return product_moments(*mean_position(self.model, context), *self.model.items.moments(every))


def mean_position(model: SlateModel, context: Context) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
    """Mean and deviation of `z` for a start that is not known and clicked items at their means.

    The deviation is how far one of the start takes the user, exact where users move linearly.
    """
    clicked = context.history.to_padded(-1)
    known = clicked >= 0
    vectors, _ = model.items.moments(clicked.clamp(min=0))
    mean, deviation = (part[:, -1] for part in model.start.posterior(vectors, known))
    here, there = (model.user(start, vectors, known)[:, -1] for start in (mean, mean + deviation))
    return here, (there - here).abs()


def product_moments(
    mean: Float[Tensor, "B D"],
    deviation: Float[Tensor, "B D"],
    item: Float[Tensor, "*B N D"],
    variance: Float[Tensor, "*B N D"],
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
    """Mean and variance of `⟨z, v⟩` where all numbers of `z` and `v` are independent.

    >>> one, two, three = torch.ones(1, 1), torch.full((1, 1), 2.0), torch.full((1, 1), 3.0)
    >>> product_moments(two, one, three, one)  # 2 · 3, 2² · 1 + 1² · 3² + 1² · 1
    (tensor([[6.]]), tensor([[14.]]))
    """
    spread = deviation.square()
    return inner_product(mean, item), inner_product(mean.square() + spread, variance) + inner_product(
        spread, item.square()
    )


def moments_of(draws: Iterable[Float[Tensor, "*rows"]]) -> tuple[Float[Tensor, "*rows"], Float[Tensor, "*rows"]]:
    """Mean and variance of at least one draw, one at a time (Welford 1962).

    >>> moments_of([torch.tensor(1.0), torch.tensor(3.0)])
    (tensor(2.), tensor(1.))
    """
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for count, draw in enumerate(draws, start=1):
        change = draw - mean
        mean = mean + change / count
        squares = squares + change * (draw - mean)
    return mean, squares / count
