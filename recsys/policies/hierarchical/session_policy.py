"""What policies of sessions share, whether an intent is drawn for each session or not."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from typing_extensions import override

from recsys.policies.hierarchical.choices import SessionChoices
from recsys.policies.hierarchical.intent import IntentNetwork
from recsys.policies.hierarchical.scorer import ConditionedScorer
from recsys.policies.hierarchical.session_summaries import session_requests
from recsys.policies.policy import ItemPolicy
from recsys.ranges import above
from recsys.types.context import Context
from recsys.types.session_context import SessionContext


class SessionPolicy(ItemPolicy, SessionChoices):
    """A policy whose scores depend on an intent; sessions begin where `SessionContext.step` is 0.

    Args:
        intent: what is believed of the user's intent.
        scorer: of items given an intent.
        sharpness: factor of the scores before training, above 0; it belongs to the policy alone, users choose by the
            scores as they are.
    """

    def __init__(self, intent: IntentNetwork, scorer: ConditionedScorer, sharpness: float = 1.0) -> None:
        above(0, sharpness=sharpness)
        super().__init__()
        self.intent = intent
        self.scorer = scorer
        self.log_sharpness = nn.Parameter(torch.tensor(math.log(sharpness)))

    @classmethod
    def for_run(
        cls, materials: object, intent: IntentNetwork, scorer: ConditionedScorer, sharpness: float = 1.0
    ) -> SessionPolicy:
        """Return a policy for a run, whose networks know the items from elsewhere.

        Args:
            materials: what the run prepared.
            intent: see the class.
            scorer: see the class.
            sharpness: see the class.
        """
        return cls(intent, scorer, sharpness)

    @override
    def begins(self, context: Context) -> Bool[Tensor, " B"]:
        return self._seen(context).step == 0

    def _seen(self, context: Context) -> SessionContext:
        return session_requests(context, len(self.scorer.bias), type(self).__name__)
