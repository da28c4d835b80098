"""Slates that a policy answers, or that a log holds, for a batch of requests."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.errors import RequestError
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

    def check(self, num_items: int) -> None:
        """Refuse slates that hold something else than items and −1. Policies call this before they score slates.

        Args:
            num_items: number of items `N` of the catalogue.

        Raises:
            RequestError: names the first such request and value; see `require_items`.
        """
        require_items(self.items, num_items)

    @property
    def mask(self) -> Bool[Tensor, "B G"]:
        """Mask of the slates with an item in every slot, `[B, G]`."""
        return (self.items >= 0).all(-1)

    @property
    def slate_log_prob(self) -> Float[Tensor, "B G"]:
        """Log-probability of each slate, `[B, G]`, in nats."""
        return self.log_prob.sum(-1)


def without_repeats(slates: Slates) -> tuple[Slates, Bool[Tensor, "B G"]]:
    """Return the slates without those that hold the items of an earlier one in any order, and which these were.

    Their slots hold −1.

    Args:
        slates: `G` candidates a request.

    >>> import torch
    >>> items = torch.tensor([[[1, 2], [2, 1], [1, 3]]])
    >>> without_repeats(Slates(items, torch.zeros(items.shape)))[1]
    tensor([[False,  True, False]])
    """
    held = slates.items.sort(-1).values
    same = (held.unsqueeze(2) == held.unsqueeze(1)).all(-1) & slates.mask.unsqueeze(1)
    repeat = same.tril(-1).any(-1)
    return slates.replace(items=slates.items.masked_fill(repeat.unsqueeze(-1), -1)), repeat & slates.mask


def require_items(items: Int[Tensor, "B *rest"], num_items: int) -> None:
    """Refuse indices outside `−1 .. N − 1`. On a CUDA device an index beyond the last item would end the process.

    Args:
        items: item indices of `B` requests, −1 for no item.
        num_items: number of items `N` of the catalogue.

    Raises:
        RequestError: names the first such request and value.

    >>> import torch
    >>> require_items(torch.tensor([[0, -1], [1, 3]]), 3)
    Traceback (most recent call last):
    recsys.errors.RequestError: request 1: a slate or list holds item 3, expected 0 to 2, or -1 for no item
    """
    if not items.numel():
        return
    least, largest = items.aminmax()
    if int(least) >= -1 and int(largest) < num_items:
        return
    place = tuple(((items < -1) | (items >= num_items)).nonzero()[0].tolist())
    raise RequestError(
        f"request {place[0]}: a slate or list holds item {int(items[place])}, expected 0 to {num_items - 1}, or -1 for "
        "no item"
    )
