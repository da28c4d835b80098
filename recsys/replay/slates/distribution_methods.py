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

from recsys.errors import RequestError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.plackett_luce import slot_marginals
from recsys.policies.policy import ItemPolicy, Policy
from recsys.ranges import at_least
from recsys.replay.slates.distribution import ListedSlates, SlateDistribution
from recsys.types.context import Context
from recsys.types.slates import Slates

MAX_SLATES = 100_000
TOLERANCE = 1e-4


@runtime_checkable
class SlateDistributionMethod(Protocol):
    """A way to obtain a policy's distribution over slates."""

    def __call__(self, policy: Policy, context: Context, slots: int) -> SlateDistribution:
        """Return the policy's distribution over the slates of each request.

        Raises:
            RequestError: the method does not apply to this policy, or there are too many slates.
        """
        ...


@dataclass(frozen=True)
class EnumeratedSlates(SlateDistributionMethod):
    """Enumerate every slate without repeated items, with its exact probability, for any policy over few items.

    A request that allows fewer items than slots is refused.

    Args:
        num_items: `N`; there are `N! / (N − S)!` slates, at most 100,000.
    """

    num_items: int

    @override
    def __call__(self, policy: Policy, context: Context, slots: int) -> ListedSlates:
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
    """Sample slates, for policies that can only be sampled.

    Every request has samples of its own, so that the interval of an estimate contains the variance that they add.
    Weights from samples of the target policy are unbiased. Weights from samples of the logging policy are consistent as
    the number of samples grows, and too large by a factor of about `1 + (1 − p) / (M p)` before.

    Args:
        num_samples: `M`, samples a request, at least 1.
        seed: seed of the samples; each call continues the random stream, so that batches are independent.
    """

    num_samples: int
    seed: int = 0
    _generator: torch.Generator = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        at_least(1, num_samples=self.num_samples)
        object.__setattr__(self, "_generator", torch.Generator().manual_seed(self.seed))

    @override
    def __call__(self, policy: Policy, context: Context, slots: int) -> ListedSlates:
        items = policy.sample(context, self.num_samples, slots, self._generator).items
        share = torch.full(items.shape[:2], 1 / self.num_samples, dtype=torch.float64, device=items.device)
        return ListedSlates(items, share, sampled=True)


@dataclass(frozen=True)
class PlackettLuceMarginals(SlateDistributionMethod):
    """Compute the marginals of Plackett-Luce slates exactly, for policies made of one distribution over items.

    Such policies (`ItemPolicy`, `UniformPolicy`) fill slates without replacement; the catalogue may have any size. See
    `slot_marginals`. The result says where items stand, not which items stand together.
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
    """A distribution over slates that are filled without replacement from one distribution over items.

    Args:
        log_prob: `[n, N]`, in nats, sums to 1 a row.
    """

    log_prob: Float[Tensor, "n N"]

    @override
    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        empty = items < 0
        probability = slot_marginals(self.log_prob, items, items.shape[1])
        return probability.masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)


@dataclass(frozen=True)
class UniformSlates(SlateDistribution):
    """The uniform distribution over slates of different items that a request allows.

    Args:
        allowed: `[n]`, `m`, number of items that each request allows.
        legal: `[n, N]`, true at these items; None where every item is allowed.

    >>> UniformSlates(torch.tensor([4])).at(torch.tensor([[2, 0]]))
    tensor([[[0.2500, 0.2500],
             [0.2500, 0.2500]]], dtype=torch.float64)
    """

    allowed: Int[Tensor, " n"]
    legal: Bool[Tensor, "n N"] | None = None

    @classmethod
    def of(cls, context: Context, num_items: int) -> UniformSlates:
        """Return the uniform distribution over the slates of each request of a context."""
        if context.candidates is None and not len(context.excluded.values):
            return cls(torch.full_like(context.users, num_items))
        legal = ~context.illegal(num_items)
        return cls(legal.sum(-1), legal)

    @override
    def at(self, items: Int[Tensor, "n S"]) -> Float[Tensor, "n S S"]:
        empty = items < 0
        chance = self._possible(items) / self.allowed.double().unsqueeze(1)
        return torch.where(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0, chance.unsqueeze(2))

    def _possible(self, items: Int[Tensor, "n S"]) -> Bool[Tensor, "n S"]:
        if self.legal is None:
            return torch.ones_like(items, dtype=torch.bool)
        return self.legal.gather(1, items.clamp(min=0))
