"""The slate model of Eide et al.: click probabilities under variational users and items, and its forecasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from recsys.data.datasets.slate_log import SlateLog
from recsys.data.datasets.user_slates import UserSlates
from recsys.models.slates.choice import choice_log_prob, click_log_prob
from recsys.models.slates.initial_state import InitialState
from recsys.models.slates.item_posterior import ItemPosterior
from recsys.models.slates.user_state import UserState
from recsys.nn.affinity import negative_distance
from recsys.nn.mean_field import MeanField


@dataclass(frozen=True)
class SlateValues:
    """What is not known, at one value for each of `U` users.

    Args:
        vectors: `[U, T, S, D]`, of the items in the slates; anything where a slot is empty.
        start: `[U, D]`, how many deviations from its mean the hidden state before the first slate is; or several for
            each user, `[K, U, D]`.
        no_click: `[U, T]`, score of not clicking, by the length of the slate; anything where it is 0.
    """

    vectors: Float[Tensor, "U T S D"]
    start: Float[Tensor, "*K U D"]
    no_click: Float[Tensor, "U T"]


class SlateModel(nn.Module):
    """`P(click = k) = exp a(z, v_k) / (exp b_n + Σ_j exp a(z, v_j))` over the `n` items of a slate.

    `z` is where the user stands after the clicks before, `a` the affinity and `b_n ~ N(0, 1)` the score of not clicking
    in a slate of `n` items. Items, `b` and the users' starts have posteriors; what moves a user has parameters.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling" (DMKD 36).

    Args:
        items: what is believed of their vectors.
        user: how clicks move users.
        slots: most items of a slate.
        affinity: of users and items; `recsys.nn.affinity`.
        start: where users begin; `None` is `InitialState()`.
        deviation: of the posterior of `b` when training starts.
    """

    def __init__(
        self,
        items: ItemPosterior,
        user: UserState,
        slots: int,
        affinity: Callable[[Tensor, Tensor], Tensor] = negative_distance,
        start: InitialState | None = None,
        deviation: float = 0.1,
    ) -> None:
        super().__init__()
        self.items = items
        self.user = user
        self.affinity = affinity
        self.start = InitialState() if start is None else start
        self.no_click = MeanField(slots, 1, deviation)

    @classmethod
    def from_log(
        cls,
        log: SlateLog,
        items: Callable[[SlateLog], ItemPosterior],
        user: UserState,
        slots: int = 0,
        affinity: Callable[[Tensor, Tensor], Tensor] = negative_distance,
        start: InitialState | None = None,
        deviation: float = 0.1,
    ) -> SlateModel:
        """For the items of a log and slates as long as its longest, or `slots` if that is more; others as above."""
        return cls(items(log), user, max(slots, int(log.slates.lengths.max())), affinity, start, deviation)

    def draw(self, slates: Int[Tensor, "U T S"], generator: torch.Generator) -> SlateValues:
        """One draw of everything for each user, with gradient; empty slots take no random number.

        Args:
            slates: items, −1 in empty slots.
            generator: on the device of the model.
        """
        vectors = self.items.draw(slates.flatten(1), generator).unflatten(1, slates.shape[1:])
        size = (len(slates), self.items.width)
        start = torch.randn(size, generator=generator, device=vectors.device, dtype=vectors.dtype)
        no_click = self.no_click.draw((slates >= 0).sum(-1) - 1, generator).squeeze(-1)
        return SlateValues(vectors, start, no_click)

    def means(self, slates: Int[Tensor, "U T S"]) -> SlateValues:
        """Everything at its posterior mean."""
        vectors, _ = self.items.moments(slates.clamp(min=0))
        no_click, _ = self.no_click.moments(((slates >= 0).sum(-1) - 1).clamp(min=0))
        return SlateValues(vectors, vectors.new_zeros(len(slates), self.items.width), no_click.squeeze(-1))

    def forecast(self, values: SlateValues, click: Int[Tensor, "U T"]) -> Float[Tensor, "U T1 D"]:
        """`[U, T + 1, D]`: `z` before each slate and after the last, each from a start given the clicks before.

        Every user goes the way once for each step: needs memory for `U × T² × D` numbers.
        """
        vectors, clicked = _clicked(values, click)
        users, steps, width = vectors.shape
        mean, deviation = self.start.given(vectors, clicked)
        starts = mean + deviation * values.start.unsqueeze(1)
        earlier = torch.ones(steps + 1, steps, dtype=torch.bool, device=click.device).tril(-1)
        again = vectors.unsqueeze(1).expand(-1, steps + 1, -1, -1)
        known = clicked.unsqueeze(1) & earlier
        return self.user(starts.flatten(0, 1), again.flatten(0, 1), known.flatten(0, 1))[:, -1].view(users, -1, width)

    def log_weight(
        self,
        values: SlateValues,
        slates: Int[Tensor, "U T S"],
        click: Int[Tensor, "U T"],
        loss_mask: Bool[Tensor, "U T"],
        temperature: float = 1.0,
    ) -> Float[Tensor, "*K U"]:
        """`1/temperature · Σ log p(click | start) + log p(start) − log q(start)` of each user, nats, at each start.

        `q` knows of all clicks. The exponential of it, averaged over starts drawn from `q`, is unbiased for the
        likelihood of the user's clicks; the mean of the logarithm of such an average of `K` is a lower bound that rises
        with `K` (Burda, Grosse, Salakhutdinov 2016, "Importance weighted autoencoders").

        Args:
            values: of these slates.
            slates: items, −1 in empty slots.
            click: slots, −1 where nothing was clicked.
            loss_mask: what is explained.
            temperature: above 0; 1 is Bayes' rule.
        """
        vectors, clicked = _clicked(values, click)
        mean, deviation = (part[:, -1] for part in self.start.given(vectors, clicked))
        users = self.user(mean + deviation * values.start, vectors, clicked)
        answers = self._log_prob(users, values, slates, click).masked_fill(~loss_mask, 0).sum(-1)
        return answers / temperature + self.start.log_ratio(values.start, mean, deviation)

    def forecast_log_prob(
        self, values: SlateValues, slates: Int[Tensor, "U T S"], click: Int[Tensor, "U T"]
    ) -> Float[Tensor, "U T"]:
        """Log-probability (nats) of each click given the clicks before it; 0 for a slate that shows nothing."""
        return self._log_prob(self.forecast(values, click), values, slates, click)

    def choices(
        self, users: Float[Tensor, "U T1 D"], values: SlateValues, slates: Int[Tensor, "U T S"]
    ) -> Float[Tensor, "U T S1"]:
        """Log-probability (nats) of each slot and then of no click, of users before each slate (`choice_log_prob`)."""
        return choice_log_prob(self.scores(users, values), slates >= 0, values.no_click)

    def scores(self, users: Float[Tensor, "*K U T1 D"], values: SlateValues) -> Float[Tensor, "*K U T S"]:
        """Affinity of the users before each slate and of what it shows; anything where a slot is empty."""
        slots, before = values.vectors.shape[:3], users[..., :-1, :]
        if users.ndim == 3:
            return self.affinity(before.flatten(0, 1), values.vectors.flatten(0, 1)).view(slots)
        places = before.movedim(0, 2).flatten(0, 1)
        found = self.affinity(places, values.vectors.flatten(0, 1))
        return found.unflatten(0, slots[:2]).movedim(2, 0)

    def shared_kl(self) -> Float[Tensor, ""]:
        """Nats from the prior of what is no item's and no user's own: groups, `b`."""
        lengths = torch.arange(len(self.no_click.mean), device=self.no_click.mean.device)
        return self.items.shared_kl() + self.no_click.kl(lengths, 0.0, 1.0).sum()

    def _log_prob(self, users: Tensor, values: SlateValues, slates: Tensor, click: Tensor) -> Tensor:
        scores = self.scores(users, values)
        size = scores.shape[:-1]
        return click_log_prob(scores, (slates >= 0).expand_as(scores), values.no_click.expand(size), click.expand(size))


def _clicked(values: SlateValues, click: Int[Tensor, "U T"]) -> tuple[Float[Tensor, "U T D"], Bool[Tensor, "U T"]]:
    """Vector of what was clicked at each step, and whether anything was."""
    slot = click.clamp(min=0)[..., None, None].expand(-1, -1, 1, values.vectors.shape[-1])
    return values.vectors.gather(2, slot).squeeze(2), click >= 0


@torch.no_grad()
def forecast(
    model: SlateModel, batch: UserSlates, draws: int, generator: torch.Generator
) -> Float[Tensor, "draws U T S1"]:
    """Probability of each slot and then of no click, given the clicks before, under draws of the posterior.

    Their mean over the draws is the posterior predictive, their spread what is not known.

    Args:
        model: trained.
        batch: users with their slates.
        draws: of everything, one a user each.
        generator: on the device of the model.
    """
    found = []
    for _ in range(draws):
        values = model.draw(batch.slates, generator)
        found.append(model.choices(model.forecast(values, batch.click), values, batch.slates).exp())
    return torch.stack(found)


def answered(probability: Float[Tensor, "U T S1"], click: Int[Tensor, "U T"]) -> Float[Tensor, "U T"]:
    """Probability of what was answered, where −1 is no click.

    >>> answered(torch.tensor([[[0.2, 0.3, 0.5], [0.1, 0.0, 0.9]]]), torch.tensor([[1, -1]]))
    tensor([[0.3000, 0.9000]])
    """
    choice = click.where(click >= 0, probability.shape[-1] - 1)
    return probability.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
