"""The kinds of object that a training can leave."""

from __future__ import annotations

from enum import StrEnum


class ArtifactKind(StrEnum):
    """The kind of an artifact, which decides the evaluations that use it.

    A ranking evaluation uses policies only, a forecast evaluation posteriors only. Reward models and value functions
    have validation metrics of their own.
    """

    POLICY = "policy"
    """A policy, which answers requests with slates."""

    REWARD_MODEL = "reward_model"
    """A model of the reward of a slate for a request."""

    VALUE_FUNCTION = "value_function"
    """A model of the future reward of a request."""

    POSTERIOR = "posterior"
    """A distribution over models, for forecasts with uncertainty and for Thompson sampling."""

    ITEM_VECTORS = "item_vectors"
    """One vector an item, `[N, D]`."""
