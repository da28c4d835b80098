"""The slates that a policy answers, or a log shows, for a batch of requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.record import TensorRecord


class SamplingMethod(StrEnum):
    """How slates were chosen, which decides the estimators that may use them."""

    SAMPLE = "sample"
    """Independently from the policy, so that a slate may come twice."""
    WITHOUT_REPLACEMENT = "without_replacement"
    """Stochastic beams (Gumbel-top-k): distinct slates with known inclusion probabilities."""
    TOP = "top"
    """The most probable ones (beam search or exact): a deterministic set, no sample."""
    GIVEN = "given"
    """By someone else; only scored by the policy."""


@dataclass(frozen=True)
class Slates(TensorRecord):
    """`G` slates of `S` slots for each of `B` requests.

    A request whose legal set is smaller than what was asked has fewer slates: the missing ones hold item −1 with
    log-probability −inf and stand last.

    Args:
        items: `[B, G, S]`, item indices, −1 where there is no item.
        log_prob: `[B, G, S]`, nats: each slot given the slots before it. A slate's is the sum over its slots.
        sampling_method: how the slates were chosen.
        log_inclusion: `[B, G]`, nats: log-probability that the slate is among the `G` drawn, given the threshold of the
            draw (Kool et al. 2019, section 4); None unless drawn without replacement.
    """

    items: Int[Tensor, "B G S"]
    log_prob: Float[Tensor, "B G S"]
    sampling_method: SamplingMethod = SamplingMethod.GIVEN
    log_inclusion: Float[Tensor, "B G"] | None = None

    @property
    def mask(self) -> Bool[Tensor, "B G"]:
        """`[B, G]`, true where the slate has an item in every slot."""
        return (self.items >= 0).all(-1)

    @property
    def slate_log_prob(self) -> Float[Tensor, "B G"]:
        """`[B, G]`, nats: log-probability of each whole slate."""
        return self.log_prob.sum(-1)
