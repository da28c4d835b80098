"""A policy of two levels: an intent for each session, and slates that follow from it."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.policies.hierarchical.session_policy import SessionPolicy
from recsys.policies.latent import LatentPolicy, Latents
from recsys.policies.plackett_luce import draw_slates, slot_log_prob
from recsys.types.context import Context
from recsys.types.session_context import SessionContext
from recsys.types.slates import SamplingMethod, Slates


class TwoLevelPolicy(SessionPolicy, LatentPolicy):
    """Draw an intent when a session begins and keep it; fill slates by Plackett and Luce given the intent.

    `sample` and `log_prob` sum the intent out exactly: with `p_b` the probability of bin `b`, a slate has probability
    `Σ_b p_b π_l(slate | g_b)`, and `π_l` is Plackett–Luce with the scores times a learned sharpness. `act` draws the
    intent and gives the slate's probability given it. Sessions begin where `SessionContext.step` is 0.

    The scores given an intent are also what users are taken to choose by (`SessionChoices`): the sharpness and the
    concentration of `π_h` belong to the policy alone.

    Source: Li, Wang, Chi, Chen 2023 (arXiv 2306.01476), whose session policy conditions nothing as released; the two
    levels, the bins and the low level's use of novelty are ours (docs/papers.md#novelty-seeking-intent).

    Args:
        intent: the high level.
        scorer: the low level.
        sharpness: factor of the scores before training, above 0.
    """

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
        intent = self.intent.middles[drawn]
        return shown, {"bin": drawn, "intent": intent, "log_prob": own, "begins": begins | (latents is None)}

    @override
    def latent_log_prob(self, context: Context, latents: Latents) -> Float[Tensor, " B"]:
        return self.intent(self._seen(context)).gather(1, latents["bin"].unsqueeze(1)).squeeze(1)

    def given(self, context: SessionContext, bins: Int[Tensor, " B"]) -> Float[Tensor, "B N"]:
        """Return the log-probability (nats) of every item as the only one of a slate, given the bin of each intent."""
        base, novelty = self.scorer.parts(context)
        weight = self.scorer.weight(self.intent.middles[bins])
        return over_legal_set(self.log_sharpness.exp() * (base + weight.unsqueeze(1) * novelty), context)

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

    @override
    def choice_scores(self, context: Context, items: Int[Tensor, "B S"]) -> Float[Tensor, "B K S"]:
        base, novelty = self.scorer.parts(self._seen(context), items)
        weight = self.scorer.weight(self.intent.middles)
        return base.unsqueeze(1) + weight[:, None] * novelty.unsqueeze(1)

    @override
    def belief(self, context: Context) -> Float[Tensor, "B K"]:
        return self.intent.belief(self._seen(context))

    def _every_bin(self, context: SessionContext) -> Float[Tensor, "B bins N"]:
        base, novelty = self.scorer.parts(context)
        weight = self.scorer.weight(self.intent.middles)
        scores = self.log_sharpness.exp() * (base.unsqueeze(1) + weight[:, None] * novelty.unsqueeze(1))
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
