"""A policy of two levels: an intent for each session, and slates that follow from it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import softplus
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.errors import RequestError
from recsys.metrics.diversity import distance_to_history
from recsys.policies.latent import LatentPolicy, Latents
from recsys.policies.plackett_luce import draw_slates, slot_log_prob
from recsys.policies.policy import ItemPolicy
from recsys.policies.session_summaries import recent_vectors, session_summaries
from recsys.ranges import at_least
from recsys.types.context import Context
from recsys.types.session_context import SessionContext
from recsys.types.slates import SamplingMethod, Slates


class IntentNetwork(nn.Module):
    """The high level: how likely a user wants novelty `g` in the session that begins, `g` one of `B` bins of (0, 1).

    `π_h(g_b) ∝ g_b^{c m} (1 − g_b)^{c (1 − m)}`, a Beta density at the middles of the bins, with the mode
    `m = σ(static + dynamic)`. `static` is a network of the user's profile, `dynamic` one of a recurrent state over the
    summaries of earlier sessions (`session_summaries`); either can be left out.

    Args:
        vectors: of all items, unit length.
        profile: numbers of a profile.
        bins: `B`, at least 2.
        sessions: earlier sessions that are read.
        window: of the realised novelty.
        hidden: width of both networks.
        static: whether the profile is read.
        dynamic: whether earlier sessions are read.
    """

    vectors: Tensor
    middles: Tensor

    def __init__(
        self,
        vectors: Float[Tensor, "N D"],
        profile: int,
        bins: int = 11,
        sessions: int = 5,
        window: int = 10,
        hidden: int = 16,
        static: bool = True,
        dynamic: bool = True,
    ) -> None:
        at_least(2, bins=bins)
        at_least(1, profile=profile, sessions=sessions, window=window, hidden=hidden)
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.register_buffer("middles", (torch.arange(bins) + 0.5) / bins)
        self.sessions = sessions
        self.window = window
        self.static = _scored(profile, hidden) if static else None
        self.recurrent = nn.GRU(vectors.shape[1] + 2, hidden, batch_first=True) if dynamic else None
        self.dynamic = nn.Linear(hidden, 1) if dynamic else None
        self.sharpness = nn.Parameter(torch.tensor(1.0))

    def propensity(self, context: SessionContext) -> Float[Tensor, " B"]:
        """Return `m`, in (0, 1): what the policy takes the user's intent for."""
        total = torch.zeros(len(context), device=self.middles.device)
        if self.static is not None:
            total = total + self.static(context.profile).squeeze(-1)
        if self.recurrent is not None and self.dynamic is not None:
            summaries = session_summaries(context, self.vectors, self.sessions, self.window)
            _, state = self.recurrent(summaries)
            total = total + self.dynamic(state[0]).squeeze(-1)
        return total.sigmoid()

    @override
    def forward(self, context: SessionContext) -> Float[Tensor, "B bins"]:
        """Return `log π_h` of each bin, nats."""
        mean, middles = self.propensity(context).unsqueeze(1), self.middles
        log_density = mean * middles.log() + (1 - mean) * (1 - middles).log()
        return (softplus(self.sharpness) * len(middles) * log_density).log_softmax(-1)


class ConditionedScorer(nn.Module):
    """The low level: `f(s)ᵀ v_a + b_a + w(g) · novelty(a)`, with `w(g) = w_0 + w_1 (2g − 1)`.

    `s` is the mean vector of the last items consumed, that of the latest, and the profile; the novelty of an item is
    its distance to the nearest of them (`distance_to_history`).

    Args:
        vectors: of all items, unit length.
        profile: numbers of a profile.
        window: items that are looked back on.
        hidden: width of `f`.
    """

    vectors: Tensor

    def __init__(self, vectors: Float[Tensor, "N D"], profile: int, window: int = 10, hidden: int = 32) -> None:
        at_least(1, profile=profile, window=window, hidden=hidden)
        super().__init__()
        self.register_buffer("vectors", vectors)
        self.window = window
        width = vectors.shape[1]
        self.query = nn.Sequential(nn.Linear(2 * width + profile, hidden), nn.Tanh(), nn.Linear(hidden, width))
        self.bias = nn.Parameter(torch.zeros(len(vectors)))
        self.novelty = nn.Parameter(torch.tensor([0.0, 1.0]))

    def parts(self, context: SessionContext) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N"]]:
        """Return what the intent does not change, and the novelty of every item."""
        had, known = recent_vectors(context, self.vectors, self.window)
        mean = had.sum(1) / known.sum(1, keepdim=True).clamp(min=1)
        query = self.query(torch.cat([mean, had[:, -1], context.profile], -1))
        novelty = distance_to_history(self.vectors.unsqueeze(0), had, known)
        return query @ self.vectors.T + self.bias, novelty

    def weight(self, intent: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return `w(g)`."""
        return self.novelty[0] + self.novelty[1] * (2 * intent - 1)


class TwoLevelPolicy(ItemPolicy, LatentPolicy):
    """Draw an intent when a session begins and keep it; fill slates by Plackett and Luce given the intent.

    `sample` and `log_prob` sum the intent out exactly: with `p_b` the probability of bin `b`, a slate has probability
    `Σ_b p_b π_l(slate | g_b)`. `act` draws the intent and gives the slate's probability given it. Sessions begin where
    `SessionContext.step` is 0.

    Source: Li, Wang, Chi, Chen 2023 (arXiv 2306.01476), whose session policy conditions nothing as released; the two
    levels, the bins and the low level's use of novelty are ours (docs/papers.md#novelty-seeking-intent).

    Args:
        intent: the high level.
        scorer: the low level.
    """

    def __init__(self, intent: IntentNetwork, scorer: ConditionedScorer) -> None:
        super().__init__()
        self.intent = intent
        self.scorer = scorer

    @override
    def act(
        self, context: Context, latents: Latents | None, slots: int, generator: torch.Generator
    ) -> tuple[Slates, Latents]:
        seen = self._seen(context)
        log_prob = self.intent(seen)
        noise = torch.empty_like(log_prob).exponential_(generator=generator).log_()
        drawn = (log_prob - noise).argmax(-1)
        begins = seen.step == 0
        if latents is not None:
            drawn = drawn.where(begins, latents["bin"])
        own = log_prob.gather(1, drawn.unsqueeze(1)).squeeze(1)
        if latents is not None:
            own = own.where(begins, latents["log_prob"])
        catalogue = self.given(seen, drawn)
        items = draw_slates(catalogue, 1, slots, generator)
        shown = Slates(items, slot_log_prob(catalogue, items), SamplingMethod.SAMPLE)
        known = {"bin": drawn, "intent": self.intent.middles[drawn], "log_prob": own}
        return shown, {**known, "begins": begins | (latents is None)}

    @override
    def latent_log_prob(self, context: Context, latents: Latents) -> Float[Tensor, " B"]:
        return self.intent(self._seen(context)).gather(1, latents["bin"].unsqueeze(1)).squeeze(1)

    def given(self, context: SessionContext, bins: Int[Tensor, " B"]) -> Float[Tensor, "B N"]:
        """Return the log-probability (nats) of every item as the only one of a slate, given the bin of each intent."""
        base, novelty = self.scorer.parts(context)
        weight = self.scorer.weight(self.intent.middles[bins])
        return over_legal_set(base + weight.unsqueeze(1) * novelty, context)

    @override
    def log_prob_given(self, context: Context, slates: Slates, latents: Latents) -> Float[Tensor, "B G S"]:
        catalogue = self.given(self._seen(context), latents["bin"])
        slates.check(catalogue.shape[-1])
        return slot_log_prob(catalogue, slates.items)

    @override
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        seen = self._seen(context)
        return (self._every_bin(seen) + self.intent(seen).unsqueeze(-1)).logsumexp(1)

    @override
    def sample(self, context: Context, candidates: int, slots: int, generator: torch.Generator) -> Slates:
        seen = self._seen(context)
        high, low = self.intent(seen), self._every_bin(seen)
        noise = high.new_empty(len(high), candidates, high.shape[1]).exponential_(generator=generator).log_()
        drawn = (high.unsqueeze(1) - noise).argmax(-1)
        row = torch.arange(len(high), device=high.device).unsqueeze(1)
        items = draw_slates(low[row, drawn].flatten(0, 1), 1, slots, generator).view(*drawn.shape, slots)
        return Slates(items, _marginal(high, low, items), SamplingMethod.SAMPLE)

    @override
    def log_prob(self, context: Context, slates: Slates) -> Float[Tensor, "B G S"]:
        seen = self._seen(context)
        low = self._every_bin(seen)
        slates.check(low.shape[-1])
        return _marginal(self.intent(seen), low, slates.items)

    def _seen(self, context: Context) -> SessionContext:
        """Return requests that say which session it is, and hold items only."""
        if not isinstance(context, SessionContext):
            raise RequestError(f"TwoLevelPolicy reads a SessionContext, found a {type(context).__name__}")
        context.check(len(self.scorer.bias), ["history"])
        return context

    def _every_bin(self, context: SessionContext) -> Float[Tensor, "B bins N"]:
        base, novelty = self.scorer.parts(context)
        weight = self.scorer.weight(self.intent.middles)
        scores = base.unsqueeze(1) + weight[:, None] * novelty.unsqueeze(1)
        return torch.stack([over_legal_set(one, context) for one in scores.unbind(1)], 1)


def _marginal(
    high: Float[Tensor, "B bins"], low: Float[Tensor, "B bins N"], items: Int[Tensor, "B G S"]
) -> Float[Tensor, "B G S"]:
    """Return the log-probability of each slot given the slots before it, the intent summed out.

    `log P(y_1 … y_s) − log P(y_1 … y_{s−1})`, of a mixture of Plackett–Luce models; −inf from the first impossible
    slot on.
    """
    each = torch.stack([slot_log_prob(one, items) for one in low.unbind(1)], -1)
    prefix = (each.cumsum(2) + high[:, None, None]).logsumexp(-1)
    impossible = prefix.isneginf()
    before = torch.nn.functional.pad(prefix[..., :-1], (1, 0))
    return (prefix - before.masked_fill(before.isneginf(), 0.0)).masked_fill(impossible, float("-inf"))


def _scored(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))
