"""The contract of a policy's distribution over slates, and its form as a list of slates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.errors import RequestError
from recsys.replay.slates.batch import Side, SlateBatch


@runtime_checkable
class SlateDistribution(Protocol):
    """A policy's distribution over the slates of each of `n` requests."""

    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        """Return, at `(i, k, l)`, the probability that slot `l` holds the item of slot `k`; 1 if either is empty."""
        ...


def with_distribution(rounds: SlateBatch, side: Side, distribution: SlateDistribution) -> SlateBatch:
    """Return the batch with the probabilities of one policy's distribution; a part that is there already is kept.

    Args:
        rounds: batch with at least the items.
        side: the policy whose distribution it is.
        distribution: the distribution.

    Raises:
        RequestError: the logging policy's distribution gives a logged item probability 0.
    """
    at = distribution.at(rounds.items)
    if side == "logging":
        _require_possible(at)
    return rounds if getattr(rounds, f"{side}_at") is not None else replace(rounds, **{f"{side}_at": at})


def _require_possible(at: Float[Tensor, "n S S"]) -> None:
    impossible = (torch.diagonal(at, dim1=-2, dim2=-1) <= 0).any(-1).nonzero().flatten()
    if len(impossible):
        raise RequestError(
            f"the logging policy gives no chance to what was logged in {len(impossible)} rows of the batch, first in "
            f"row {int(impossible[0])}: expected the policy that wrote the log; where it is sampled, take more draws"
        )


@dataclass(frozen=True)
class ListedSlates(SlateDistribution):
    """A distribution over slates as a list: every possible slate, or `M` independent samples.

    Probabilities are exact if every slate is listed, and unbiased from samples, with the standard error `error`. Time
    and memory grow with `n M S²`: pass rows in batches.

    Args:
        items: `[b, M, S]`, −1 in empty slots; `b` is the number of requests, or 1 if all requests have the same slates.
        probability: `[b, M]`, sums to 1 a row; `1 / M` for samples.
        sampled: whether the slates are samples.

    >>> slates = ListedSlates(torch.tensor([[[0, 1], [1, 0], [2, 0]]]), torch.tensor([[0.5, 0.25, 0.25]]))
    >>> slates.at(torch.tensor([[1, 0]]))  # item 1 is first or second, then item 0 is
    tensor([[[0.2500, 0.5000],
             [0.5000, 0.5000]]], dtype=torch.float64)
    """

    items: Int[Tensor, "b M S"]
    probability: Float[Tensor, "b M"]
    sampled: bool = False

    @override
    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        held = (items.unsqueeze(-1).unsqueeze(-1) == self.items.transpose(1, 2).unsqueeze(1)).double()
        probability = torch.einsum("nklm,nm->nkl", held, self.probability.double().expand(len(items), -1))
        empty = items < 0
        return probability.masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)

    def error(self, probability: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Return the standard error of a probability that this list gave, `√(p (1 − p) / M)` for samples, else 0.

        >>> draws = ListedSlates(torch.zeros(1, 100, 1, dtype=torch.int64), torch.full((1, 100), 0.01), sampled=True)
        >>> draws.error(torch.tensor(0.5))
        tensor(0.0500)
        """
        if not self.sampled:
            return torch.zeros_like(probability)
        return (probability * (1 - probability)).clamp(min=0).div(self.items.shape[1]).sqrt()

    def pairs(self, num_items: int) -> Int[Tensor, "b M S"]:
        """Return the slates as numbers `slot · N + item` of (slot, item) pairs; `S · N` in empty slots."""
        return slot_item_pairs(self.items, num_items)

    def marginals(self, num_items: int) -> Float[Tensor, "b D"]:
        """Return `E[1_s]`, the probability of each of the `D = S · N` (slot, item) pairs."""
        pairs = self.pairs(num_items)
        size = pairs.shape[-1] * num_items + 1
        mass = self.probability.double().unsqueeze(-1).expand(pairs.shape).flatten(1)
        return mass.new_zeros(len(pairs), size).scatter_add_(1, pairs.flatten(1), mass)[:, :-1]

    def joint(self, num_items: int) -> Float[Tensor, "b D D"]:
        """Return `Γ = E[1_s 1_sᵀ]`, the probability of every two (slot, item) pairs together."""
        pairs = self.pairs(num_items)
        rows, _, slots = pairs.shape
        size = slots * num_items + 1
        both = (pairs.unsqueeze(-1) * size + pairs.unsqueeze(-2)).flatten(1)
        mass = self.probability.double()[..., None, None].expand(*pairs.shape, slots).flatten(1)
        return mass.new_zeros(rows, size * size).scatter_add_(1, both, mass).view(rows, size, size)[:, :-1, :-1]


def slot_item_pairs(items: Int[Tensor, "*shape S"], num_items: int) -> Int[Tensor, "*shape S"]:
    """Return slates as numbers `slot · N + item` of (slot, item) pairs; `S · N` in empty slots.

    >>> slot_item_pairs(torch.tensor([[2, 0, -1]]), num_items=3)
    tensor([[2, 3, 9]])
    """
    slots = items.shape[-1]
    start = torch.arange(slots, device=items.device) * num_items
    return torch.where(items < 0, slots * num_items, items + start)
