"""Distributions over slates of policies: by listing, by arrival times, by drawing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from recsys.data.context import Context
from recsys.data.slates import Slates
from recsys.errors import RequestError
from recsys.policies.greedy import Uniform
from recsys.policies.policy import ItemPolicy, Policy, over_legal_set
from recsys.policies.slot_marginals import slot_marginals
from recsys.replay.slates.law import Abstraction, SlateLaw
from recsys.replay.slates.listed import ListedSlates

MOST_SLATES = 100_000
TOLERANCE = 1e-4


@runtime_checkable
class LawOf(Protocol):
    """How the distribution of a policy over slates is had."""

    def __call__(self, policy: Policy, context: Context, slots: int) -> SlateLaw:
        """For each request.

        Raises:
            RequestError: not of this policy, or not of so many slates.
        """
        ...


@dataclass(frozen=True)
class EverySlate:
    """Exactly, of any policy, by its probabilities of all slates without repeats: for small sets of items.

    Args:
        num_items: `N`; `N! / (N − S)!` slates, at most 100,000.
    """

    num_items: int

    def __call__(self, policy: Policy, context: Context, slots: int) -> ListedSlates:
        """See `LawOf`; a request that allows fewer items than slots is refused."""
        count = math.perm(self.num_items, slots)
        if not 1 <= count <= MOST_SLATES:
            raise RequestError(
                f"{self.num_items:,} items in {slots} slots make {count:,} slates; expected 1 to {MOST_SLATES:,}: "
                "take draws, or arrival times where the policy is one of items"
            )
        every = torch.tensor(list(permutations(range(self.num_items), slots)), device=context.users.device)
        items = every.view(1, count, slots).expand(len(context), -1, -1)
        probability = (
            policy.log_prob(context, Slates(items, items.new_zeros(items.shape).float())).double().sum(-1).exp()
        )
        short = ((probability.sum(-1) - 1).abs() > TOLERANCE).nonzero().flatten()
        if len(short):
            raise RequestError(
                f"the probabilities of all slates of {slots} slots sum to {float(probability[short[0]].sum()):.6g} in "
                f"row {int(short[0])} of the batch, expected 1: it may allow fewer items than slots; take draws"
            )
        one = slice(1) if len(context) and (probability == probability[0]).all() else slice(None)
        return ListedSlates(items[one], probability[one])


@dataclass(frozen=True)
class DrawnSlates:
    """By drawing, of policies that can only be sampled.

    Each request has draws of its own, so that what they add to the variance of an estimate is within its interval.
    Weights by draws of the policy to be judged are unbiased; by draws of the logging policy they are consistent as
    draws grow, and too large by about `1 + (1 − p) / (M p)` until then.

    Args:
        draws: `M`.
        generator: randomness.
    """

    draws: int
    generator: torch.Generator

    def __call__(self, policy: Policy, context: Context, slots: int) -> ListedSlates:
        """See `LawOf`."""
        items = policy.sample(context, self.draws, slots, self.generator).items
        share = torch.full(items.shape[:2], 1 / self.draws, dtype=torch.float64, device=items.device)
        return ListedSlates(items, share, drawn=True)


@dataclass(frozen=True)
class ArrivalTimes:
    """Exactly, of policies made of one distribution over items (`ItemPolicy`, `Uniform`), for any number of items.

    Slates are Plackett and Luce's then; see `slot_marginals`. Says where items stand, not which stand together.
    """

    def __call__(self, policy: Policy, context: Context, slots: int) -> PlackettLuce:
        """See `LawOf`."""
        if isinstance(policy, Uniform):
            return PlackettLuce(over_legal_set(torch.zeros(len(context), policy.scorer.num_items), context))
        if not isinstance(policy, ItemPolicy):
            raise RequestError(
                f"{type(policy).__name__} is not made of one distribution over items (`ItemPolicy`): "
                "list every slate, or take draws"
            )
        return PlackettLuce(policy.catalogue_log_prob(context))


@dataclass(frozen=True)
class PlackettLuce:
    """Slates filled without replacement from one distribution over items.

    Args:
        log_prob: `[n, N]`, nats, sums to 1 a row.
    """

    log_prob: Float[Tensor, "n N"]

    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        """See `SlateLaw`."""
        empty = items < 0
        probability = slot_marginals(self.log_prob, items, items.shape[1])
        return probability.masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)

    def agreeing(self, items: Int[Tensor, "n S"], slots: Bool[Tensor, "n K S"]) -> Float[Tensor, "n K"]:
        """Never."""
        raise RequestError(f"the probability of several items together {NEEDS_SLATES}")

    def abstract(self, items: Int[Tensor, "n S"], abstraction: Abstraction) -> Float[Tensor, " n"]:
        """Never."""
        raise RequestError(f"the probability of an abstraction {NEEDS_SLATES}")


NEEDS_SLATES = "is not known from arrival times: list every slate, or take draws"
