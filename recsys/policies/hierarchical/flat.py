"""A policy of one level: how much novelty counts follows from the request, and nothing is drawn for a session."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.policies.hierarchical.session_policy import SessionPolicy
from recsys.types.context import Context
from recsys.types.session_context import SessionContext


class FlatPolicy(SessionPolicy):
    """Slates by Plackett and Luce of `sharpness · (base_a + w(m) · novelty_a)`, `m` the propensity at each step.

    The opponent of `TwoLevelPolicy`: the same networks without the latent intent.

    Args:
        intent: `m` from the request; its concentrations are not used.
        scorer: of items given `m`.
        sharpness: factor of the scores before training, above 0.
    """

    @override
    def catalogue_log_prob(self, context: Context) -> Float[Tensor, "B N"]:
        seen = self._seen(context)
        return over_legal_set(self.log_sharpness.exp() * self._scores(seen, None), seen)

    @override
    def choice_scores(self, context: Context, items: Int[Tensor, "B S"]) -> Float[Tensor, "B 1 S"]:
        return self._scores(self._seen(context), items).unsqueeze(1)

    @override
    def belief(self, context: Context) -> Float[Tensor, "B 1"]:
        return torch.zeros(len(context), 1, device=context.users.device)

    def _scores(self, context: SessionContext, items: Int[Tensor, "B K"] | None) -> Float[Tensor, "B K"]:
        base, novelty = self.scorer.parts(context, items)
        return base + self.scorer.weight(self.intent.propensity(context)).unsqueeze(1) * novelty
