"""Users, items and slates: the probability of every click under vectors that are not known for certain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from recsys.models.item_posterior import ItemPosterior
from recsys.models.slate_choice import click_log_prob
from recsys.models.user_state import UserState
from recsys.nn.affinity import negative_distance
from recsys.nn.mean_field import MeanField


@dataclass(frozen=True)
class SlateValues:
    """What is not known, at one value for each of `U` users.

    Args:
        vectors: `[U, T, S, D]`, of the items in the slates; anything where a slot is empty.
        start: `[U, D]`, hidden state before the first slate.
        no_click: `[U, T]`, score of not clicking, by the length of the slate; anything where it is 0.
    """

    vectors: Float[Tensor, "U T S D"]
    start: Float[Tensor, "U D"]
    no_click: Float[Tensor, "U T"]


class SlateModel(nn.Module):
    """`P(click = k) = exp a(z, v_k) / (exp b_n + Σ_j exp a(z, v_j))` over the `n` items of a slate.

    `z` is where the user stands after the clicks before, `a` the affinity and `b_n ~ N(0, 1)` the score of not clicking
    in a slate of `n` items. The start of all users is one vector `~ N(0, start² I)`. Items, `b` and the start have
    posteriors; what moves a user has parameters.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling" (DMKD 36), there with a start for each user that knows of the user's later clicks (docs/papers.md).

    Args:
        items: what is believed of their vectors.
        user: how clicks move users.
        slots: most items of a slate.
        affinity: of users and items; `recsys.nn.affinity`.
        start: standard deviation of the start before anything was seen, above 0.
        deviation: of the posterior of start and `b` when training starts, as a share of the prior's.
    """

    def __init__(
        self,
        items: ItemPosterior,
        user: UserState,
        slots: int,
        affinity: Callable[[Tensor, Tensor], Tensor] = negative_distance,
        start: float = 0.5,
        deviation: float = 0.1,
    ) -> None:
        super().__init__()
        self.items = items
        self.user = user
        self.affinity = affinity
        self.start_prior = start
        self.no_click = MeanField(slots, 1, deviation)
        self.start = MeanField(1, items.width, deviation * start)

    def draw(self, slates: Int[Tensor, "U T S"], generator: torch.Generator) -> SlateValues:
        """One draw of everything for each user, with gradient; empty slots take no random number.

        Args:
            slates: items, −1 in empty slots.
            generator: on the device of the model.
        """
        vectors = self.items.draw(slates.flatten(1), generator).unflatten(1, slates.shape[1:])
        start = self.start.draw(slates.new_zeros(len(slates), 1), generator).squeeze(1)
        no_click = self.no_click.draw((slates >= 0).sum(-1) - 1, generator).squeeze(-1)
        return SlateValues(vectors, start, no_click)

    def means(self, slates: Int[Tensor, "U T S"]) -> SlateValues:
        """Everything at its posterior mean."""
        vectors, _ = self.items.moments(slates.clamp(min=0))
        no_click, _ = self.no_click.moments(((slates >= 0).sum(-1) - 1).clamp(min=0))
        return SlateValues(vectors, self.start.mean.expand(len(slates), -1), no_click.squeeze(-1))

    def positions(self, values: SlateValues, click: Int[Tensor, "U T"]) -> Float[Tensor, "U T1 D"]:
        """`[U, T + 1, D]`: `z` before each slate and after the last."""
        slot = click.clamp(min=0)[..., None, None].expand(-1, -1, 1, values.vectors.shape[-1])
        return self.user(values.start, values.vectors.gather(2, slot).squeeze(2), click >= 0)

    def log_prob(
        self, values: SlateValues, slates: Int[Tensor, "U T S"], click: Int[Tensor, "U T"]
    ) -> Float[Tensor, "U T"]:
        """Log-probability (nats) of each click given the clicks before; 0 for a slate that shows nothing.

        Args:
            values: of these slates.
            slates: items, −1 in empty slots.
            click: slots, −1 where nothing was clicked.
        """
        users = self.positions(values, click)[:, :-1]
        scores = self.affinity(users.flatten(0, 1), values.vectors.flatten(0, 1)).view(slates.shape)
        return click_log_prob(scores, slates >= 0, values.no_click, click)

    def shared_kl(self) -> Float[Tensor, ""]:
        """Nats from the prior of what is no item's own: groups, the start, `b`."""
        lengths = torch.arange(len(self.no_click.mean), device=self.no_click.mean.device)
        own = self.no_click.kl(lengths, 0.0, 1.0).sum() + self.start.kl(lengths[:1], 0.0, self.start_prior).sum()
        return self.items.shared_kl() + own
