"""Slates that a policy answers, or that a log holds, for a batch of requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.types.record import TensorRecord


class SamplingMethod(StrEnum):
    """The method by which slates were chosen, which decides the estimators that may use them."""

    SAMPLE = "sample"
    """Independent samples from the policy; a slate may occur twice."""
    WITHOUT_REPLACEMENT = "without_replacement"
    """Stochastic beams (Gumbel-top-k): distinct slates with known inclusion probabilities."""
    TOP = "top"
    """The most probable slates, by beam search or exactly: a deterministic set, no sample."""
    GIVEN = "given"
    """Slates from elsewhere, which the policy only scores."""


@dataclass(frozen=True)
class Slates(TensorRecord):
    """`G` slates of `S` slots for each of `B` requests.

    If the legal set of a request is too small for `G` slates, the last ones hold item −1 with log-probability −inf.

    Args:
        items: `[B, G, S]`, item indices, −1 for no item.
        log_prob: `[B, G, S]`, log-probability of each slot given the earlier slots, in nats. The log-probability of a
            slate is the sum over its slots.
        sampling_method: method by which the slates were chosen.
        log_inclusion: `[B, G]`, log-probability that the slate is among the `G` samples, given the threshold of the
            sampling (Kool et al. 2019, section 4), in nats; None unless sampled without replacement.
    """

    items: Int[Tensor, "B G S"]
    log_prob: Float[Tensor, "B G S"]
    sampling_method: SamplingMethod = SamplingMethod.GIVEN
    log_inclusion: Float[Tensor, "B G"] | None = None

    @property
    def mask(self) -> Bool[Tensor, "B G"]:
        """Mask of the slates with an item in every slot, `[B, G]`."""
        return (self.items >= 0).all(-1)

    @property
    def slate_log_prob(self) -> Float[Tensor, "B G"]:
        """Log-probability of each slate, `[B, G]`, in nats."""
        return self.log_prob.sum(-1)
