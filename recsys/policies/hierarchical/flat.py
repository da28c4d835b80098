"""A policy of one level: how much novelty counts follows from the request, and nothing is drawn for a session."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from typing_extensions import override

from recsys.decode.catalogue import over_legal_set
from recsys.policies.hierarchical.choices import SessionChoices
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.policies.hierarchical.scorer import ConditionedScorer
from recsys.policies.hierarchical.session_summaries import session_requests
from recsys.policies.policy import ItemPolicy
from recsys.ranges import above
from recsys.types.context import Context
from recsys.types.session_context import SessionContext


class FlatPolicy(ItemPolicy, SessionChoices):
    """Slates by Plackett and Luce of `sharpness · (base_a + w(m) · novelty_a)`, `m` the propensity at each step.

    The opponent of `TwoLevelPolicy`: the same networks without the latent intent.

    Args:
        scorer: of items given `m`.
        propensity: `m` from the request; its concentrations are not used.
        sharpness: factor of the scores before training, above 0.
    """

    def __init__(self, scorer: ConditionedScorer, propensity: IntentNetwork, sharpness: float = 1.0) -> None:
        above(0, sharpness=sharpness)
        super().__init__()
        self.scorer = scorer
        self.propensity = propensity
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))

    @classmethod
    def for_run(
        cls, materials: object, scorer: ConditionedScorer, propensity: IntentNetwork, sharpness: float = 1.0
    ) -> FlatPolicy:
        """Return a policy for a run, whose networks know the items from elsewhere.

        Args:
            materials: what the run prepared.
            scorer: see the class.
            propensity: see the class.
            sharpness: see the class.
        """
        return cls(scorer, propensity, sharpness)

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

    @override
    def begins(self, context: Context) -> Bool[Tensor, " B"]:
        return self._seen(context).step == 0

    def _scores(self, context: SessionContext, items: Int[Tensor, "B K"] | None) -> Float[Tensor, "B K"]:
        base, novelty = self.scorer.parts(context, items)
        return base + self.scorer.weight(self.propensity.propensity(context)).unsqueeze(1) * novelty

    def _seen(self, context: Context) -> SessionContext:
        return session_requests(context, len(self.scorer.bias), type(self).__name__)
