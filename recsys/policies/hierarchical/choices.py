"""The contract of policies that also say what users choose, and why."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.context import Context


@runtime_checkable
class SessionChoices(Protocol):
    """A policy whose scores are also those by which users choose, given an intent that lasts for a session.

    The intent is one of `K`; a policy that knows of none has `K = 1`. It is trained by
    `recsys.objectives.latent_class.session_log_likelihood`.
    """

    def choice_scores(self, context: Context, items: Int[Tensor, "B S"]) -> Float[Tensor, "B K S"]:
        """Return the score of each shown item under each intent, with gradient; anything where an item is −1."""
        ...

    def belief(self, context: Context) -> Float[Tensor, "B K"]:
        """Return the log-probability (nats) of each intent, as far as the request tells, with gradient."""
        ...

    def begins(self, context: Context) -> Bool[Tensor, " B"]:
        """Return for whom a session begins."""
        ...
