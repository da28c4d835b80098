"""The slate model of Eide et al.: click probabilities with posteriors of users and items, and its forecasts."""

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
from recsys.ranges import above, at_least


@dataclass(frozen=True)
class SlateValues:
    """One value of every latent variable, for `U` users.

    Args:
        vectors: `[U, T, S, D]`, vectors of the items in the slates; arbitrary at empty slots.
        initial_noise: `[U, D]`, or `[K, U, D]` for several values a user: the initial state, as the number of standard
            deviations from its mean.
        no_click: `[U, T]`, score of no click, which depends on the length of the slate; arbitrary at length 0.
    """

    vectors: Float[Tensor, "U T S D"]
    initial_noise: Float[Tensor, "*K U D"]
    no_click: Float[Tensor, "U T"]


class SlateModel(nn.Module):
    """A model of clicks on a slate of `n` items: `P(click = k) = exp a(z, v_k) / (exp b_n + Σ_j exp a(z, v_j))`.

    - `z`: vector of the user after the earlier clicks;
    - `v_j`: vector of the item in slot `j`;
    - `a`: the affinity, such as the negative distance;
    - `b_n ~ N(0, 1)`: score of no click in a slate of `n` items.

    Item vectors, `b` and the initial states of users have variational posteriors. The user state model has parameters.

    Source: Eide, Leslie, Frigessi 2022, "Dynamic slate recommendation with gated recurrent units and Thompson
    sampling" (DMKD 36).

    Args:
        items: posterior of the item vectors.
        user: user state model.
        slots: the most items of a slate.
        affinity: affinity of user vectors and item vectors; see `recsys.nn.affinity`.
        initial_state: distribution of initial states; None means `InitialState()`.
        deviation: initial standard deviation of the posterior of `b`.
    """

    def __init__(
        self,
        items: ItemPosterior,
        user: UserState,
        slots: int,
        affinity: Callable[[Tensor, Tensor], Tensor] = negative_distance,
        initial_state: InitialState | None = None,
        deviation: float = 0.1,
    ) -> None:
        at_least(1, slots=slots)
        above(0, deviation=deviation)
        super().__init__()
        self.items = items
        self.user = user
        self.affinity = affinity
        self.initial_state = InitialState() if initial_state is None else initial_state
        self.no_click = MeanField(slots, 1, deviation)

    @classmethod
    def from_log(
        cls,
        log: SlateLog,
        items: Callable[[SlateLog], ItemPosterior],
        user: UserState,
        slots: int = 0,
        affinity: Callable[[Tensor, Tensor], Tensor] = negative_distance,
        initial_state: InitialState | None = None,
        deviation: float = 0.1,
    ) -> SlateModel:
        """Return a model for the items of a log.

        Args:
            log: logged slates.
            items: function from the log to the posterior of its items.
            user: as in `SlateModel`.
            slots: the most items of a slate; at least the length of the longest slate of the log is taken.
            affinity: as in `SlateModel`.
            initial_state: as in `SlateModel`.
            deviation: as in `SlateModel`.
        """
        above(0, deviation=deviation)
        at_least(0, slots=slots)
        return cls(items(log), user, max(slots, int(log.slates.lengths.max())), affinity, initial_state, deviation)

    def draw(self, slates: Int[Tensor, "U T S"], generator: torch.Generator) -> SlateValues:
        """Return a sample of all latent variables for each user, differentiable. Empty slots use no random number.

        Args:
            slates: items of the slates, −1 at empty slots.
            generator: random generator on the device of the model.
        """
        vectors = self.items.draw(slates.flatten(1), generator).unflatten(1, slates.shape[1:])
        size = (len(slates), self.items.width)
        initial_noise = torch.randn(size, generator=generator, device=vectors.device, dtype=vectors.dtype)
        no_click = self.no_click.draw((slates >= 0).sum(-1) - 1, generator).squeeze(-1)
        return SlateValues(vectors, initial_noise, no_click)

    def means(self, slates: Int[Tensor, "U T S"]) -> SlateValues:
        """Return the posterior means of all latent variables."""
        vectors, _ = self.items.moments(slates.clamp(min=0))
        no_click, _ = self.no_click.moments(((slates >= 0).sum(-1) - 1).clamp(min=0))
        return SlateValues(vectors, vectors.new_zeros(len(slates), self.items.width), no_click.squeeze(-1))

    def forecast(self, values: SlateValues, click: Int[Tensor, "U T"]) -> Float[Tensor, "U T1 D"]:
        """Return the user vectors `z` before each slate and after the last, `[U, T + 1, D]`.

        Each of them starts from the initial state given the earlier clicks. The user state model therefore runs once
        for each step, which takes memory for `U × T² × D` numbers.
        """
        vectors, clicked = _clicked(values, click)
        users, steps, width = vectors.shape
        mean, deviation = self.initial_state.posterior(vectors, clicked)
        starts = mean + deviation * values.initial_noise.unsqueeze(1)
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
        """Return the log importance weight of each user's initial states, in nats.

            1/temperature · Σ log p(click | h₀) + log p(h₀) − log q(h₀)

        `q` is the posterior of the initial state `h₀` after all clicks. Averaged over initial states from `q`, the
        exponential of the weight is an unbiased estimate of the likelihood of the user's clicks. The expected logarithm
        of an average of `K` weights is a lower bound of the log-likelihood, and it rises with `K` (Burda, Grosse,
        Salakhutdinov 2016, "Importance weighted autoencoders").

        Args:
            values: values of the latent variables for these slates.
            slates: items of the slates, −1 at empty slots.
            click: clicked slots, −1 for no click.
            loss_mask: true for the slates whose clicks count.
            temperature: temperature of the likelihood, above 0. 1 is Bayes' rule.
        """
        vectors, clicked = _clicked(values, click)
        mean, deviation = (part[:, -1] for part in self.initial_state.posterior(vectors, clicked))
        users = self.user(mean + deviation * values.initial_noise, vectors, clicked)
        answers = self._log_prob(users, values, slates, click).masked_fill(~loss_mask, 0).sum(-1)
        return answers / temperature + self.initial_state.log_ratio(values.initial_noise, mean, deviation)

    def forecast_log_prob(
        self, values: SlateValues, slates: Int[Tensor, "U T S"], click: Int[Tensor, "U T"]
    ) -> Float[Tensor, "U T"]:
        """Return the log-probability, in nats, of each click given the earlier clicks; 0 for a slate without items."""
        return self._log_prob(self.forecast(values, click), values, slates, click)

    def choices(
        self, users: Float[Tensor, "U T1 D"], values: SlateValues, slates: Int[Tensor, "U T S"]
    ) -> Float[Tensor, "U T S1"]:
        """Return `choice_log_prob` of each slate, in nats, for user vectors before each slate and after the last."""
        return choice_log_prob(self.scores(users, values), slates >= 0, values.no_click)

    def scores(self, users: Float[Tensor, "*K U T1 D"], values: SlateValues) -> Float[Tensor, "*K U T S"]:
        """Return the affinity of the user before each slate and each of its items; arbitrary at empty slots."""
        slots, before = values.vectors.shape[:3], users[..., :-1, :]
        if users.ndim == 3:
            return self.affinity(before.flatten(0, 1), values.vectors.flatten(0, 1)).view(slots)
        places = before.movedim(0, 2).flatten(0, 1)
        found = self.affinity(places, values.vectors.flatten(0, 1))
        return found.unflatten(0, slots[:2]).movedim(2, 0)

    def shared_kl(self) -> Float[Tensor, ""]:
        """Return the KL divergence from the prior, in nats, of variables that items and users share: groups and `b`."""
        lengths = torch.arange(len(self.no_click.mean), device=self.no_click.mean.device)
        return self.items.shared_kl() + self.no_click.kl(lengths, 0.0, 1.0).sum()

    def _log_prob(self, users: Tensor, values: SlateValues, slates: Tensor, click: Tensor) -> Tensor:
        scores = self.scores(users, values)
        size = scores.shape[:-1]
        return click_log_prob(scores, (slates >= 0).expand_as(scores), values.no_click.expand(size), click.expand(size))


def _clicked(values: SlateValues, click: Int[Tensor, "U T"]) -> tuple[Float[Tensor, "U T D"], Bool[Tensor, "U T"]]:
    """Return the vector of the clicked item at each step, and whether there was a click."""
    slot = click.clamp(min=0)[..., None, None].expand(-1, -1, 1, values.vectors.shape[-1])
    return values.vectors.gather(2, slot).squeeze(2), click >= 0


@torch.no_grad()
def forecast(
    model: SlateModel, batch: UserSlates, draws: int, generator: torch.Generator
) -> Float[Tensor, "draws U T S1"]:
    """Return the probabilities of a click on each slot and, last, of no click, given earlier clicks.

    There is one result for each sample of the latent variables. The mean over samples is the posterior predictive;
    their spread is the uncertainty.

    Args:
        model: a trained model.
        batch: users with their slates.
        draws: number of samples of the latent variables of each user.
        generator: random generator on the device of the model.
    """
    found = []
    for _ in range(draws):
        values = model.draw(batch.slates, generator)
        found.append(model.choices(model.forecast(values, batch.click), values, batch.slates).exp())
    return torch.stack(found)


def answer_probability(probability: Float[Tensor, "U T S1"], click: Int[Tensor, "U T"]) -> Float[Tensor, "U T"]:
    """Return the probability of each observed answer.

    Args:
        probability: probability of a click on each slot and, last, of no click.
        click: the clicked slot, or −1 for no click.

    >>> answer_probability(torch.tensor([[[0.2, 0.3, 0.5], [0.1, 0.0, 0.9]]]), torch.tensor([[1, -1]]))
    tensor([[0.3000, 0.9000]])
    """
    choice = click.where(click >= 0, probability.shape[-1] - 1)
    return probability.gather(-1, choice.unsqueeze(-1)).squeeze(-1)
