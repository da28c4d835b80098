"""Ways to obtain a policy's slate distribution: enumeration, sampling, Plackett-Luce marginals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import permutations
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.errors import ConfigurationError, RequestError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.plackett_luce import slot_marginals
from recsys.policies.policy import ItemPolicy, Policy
from recsys.replay.slates.distribution import ListedSlates, SlateDistribution
from recsys.types.context import Context
from recsys.types.slates import Slates

MAX_SLATES = 100_000
TOLERANCE = 1e-4


@runtime_checkable
class SlateDistributionMethod(Protocol):
    """How the distribution of a policy over slates is had."""

    def __call__(self, policy: Policy, context: Context, slots: int) -> SlateDistribution:
        """For each request.

        Raises:
            RequestError: not of this policy, or not of so many slates.
        """
        ...


@dataclass(frozen=True)
class EnumeratedSlates(SlateDistributionMethod):
    """Exactly, of any policy, by its probabilities of all slates without repeats: for small sets of items.

    Args:
        num_items: `N`; `N! / (N − S)!` slates, at most 100,000.
    """

    num_items: int

    def __call__(self, policy: Policy, context: Context, slots: int) -> ListedSlates:
        """See `SlateDistributionMethod`; a request that allows fewer items than slots is refused."""
        count = math.perm(self.num_items, slots)
        if not 1 <= count <= MAX_SLATES:
            raise RequestError(
                f"{self.num_items:,} items in {slots} slots make {count:,} slates; expected 1 to {MAX_SLATES:,}: "
                "take draws, or Plackett-Luce marginals where the policy is one of items"
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
class SampledSlates(SlateDistributionMethod):
    """By drawing, of policies that can only be sampled.

    Each request has draws of its own, so that what they add to the variance of an estimate is within its interval.
    Weights by draws of the target policy are unbiased; by draws of the logging policy they are consistent as
    draws grow, and too large by about `1 + (1 − p) / (M p)` until then.

    Args:
        num_samples: `M`, at least 1.
        seed: of the samples; every call goes on with the stream, so that batches are independent.
    """

    num_samples: int
    seed: int = 0
    _generator: torch.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.num_samples < 1:
            raise ConfigurationError(f"num_samples={self.num_samples}: expected at least 1")
        object.__setattr__(self, "_generator", torch.Generator().manual_seed(self.seed))

    @override
    def __call__(self, policy: Policy, context: Context, slots: int) -> ListedSlates:
        items = policy.sample(context, self.num_samples, slots, self._generator).items
        share = torch.full(items.shape[:2], 1 / self.num_samples, dtype=torch.float64, device=items.device)
        return ListedSlates(items, share, sampled=True)


@dataclass(frozen=True)
class PlackettLuceMarginals(SlateDistributionMethod):
    """Exactly, of policies made of one distribution over items (`ItemPolicy`, `UniformPolicy`), of any number of items.

    Slates are Plackett and Luce's then; see `slot_marginals`. Says where items stand, not which stand together.
    """

    @override
    def __call__(self, policy: Policy, context: Context, slots: int) -> PlackettLuceSlates | UniformSlates:
        if isinstance(policy, UniformPolicy):
            return UniformSlates.of(context, policy.scorer.num_items)
        if not isinstance(policy, ItemPolicy):
            raise RequestError(
                f"{type(policy).__name__} is not made of one distribution over items (`ItemPolicy`): "
                "list every slate, or take draws"
            )
        return PlackettLuceSlates(policy.catalogue_log_prob(context))


@dataclass(frozen=True)
class PlackettLuceSlates(SlateDistribution):
    """Slates filled without replacement from one distribution over items.

    Args:
        log_prob: `[n, N]`, nats, sums to 1 a row.
    """

    log_prob: Float[Tensor, "n N"]

    @override
    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        empty = items < 0
        probability = slot_marginals(self.log_prob, items, items.shape[1])
        return probability.masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)


@dataclass(frozen=True)
class UniformSlates(SlateDistribution):
    """Slates of any items that a request allows, each once, all alike.

    Args:
        allowed: `[n]`, `m`, how many items each request allows.
        legal: `[n, N]`, true at them; None where everything is.

    >>> UniformSlates(torch.tensor([4])).at(torch.tensor([[2, 0]]))
    tensor([[[0.2500, 0.2500],
             [0.2500, 0.2500]]], dtype=torch.float64)
    """

    allowed: Int[Tensor, " n"]
    legal: Bool[Tensor, "n N"] | None = None

    @classmethod
    def of(cls, context: Context, num_items: int) -> UniformSlates:
        """Of the requests of a context."""
        if context.candidates is None and not len(context.excluded.values):
            return cls(torch.full_like(context.users, num_items))
        legal = ~context.illegal(num_items)
        return cls(legal.sum(-1), legal)

    @override
    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        """See `SlateDistribution`: `1 / m`."""
        empty = items < 0
        chance = self._possible(items) / self.allowed.double().unsqueeze(1)
        return torch.where(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0, chance.unsqueeze(2))

    def _possible(self, items: Int[Tensor, "n S"]) -> Bool[Tensor, "n S"]:
        if self.legal is None:
            return torch.ones_like(items, dtype=torch.bool)
        return self.legal.gather(1, items.clamp(min=0))
