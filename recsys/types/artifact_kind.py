"""The kinds of object that a training can leave."""

from __future__ import annotations

from enum import StrEnum


class ArtifactKind(StrEnum):
    """What an artifact is, and so who may ask it.

    A ranking evaluation asks policies only, a forecast evaluation posteriors only; a reward model or a value function
    is judged by its own validation metric.
    """

    POLICY = "policy"
    """Answers requests with slates."""

    REWARD_MODEL = "reward_model"
    """Says how good a slate is for a request."""

    VALUE_FUNCTION = "value_function"
    """Says how much reward is to come."""

    POSTERIOR = "posterior"
    """A distribution over models, for forecasts with uncertainty and for Thompson sampling."""

    ITEM_VECTORS = "item_vectors"
    """One vector an item, `[N, D]`."""
