"""The slate that a request is served: the most probable one, or the one of several that a reward likes best."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.errors import ConfigurationError, RequestError
from recsys.policies.allocation import Allocation, UniformAllocation
from recsys.policies.network_policy import NetworkPolicy
from recsys.policies.policy import ItemPolicy, Policy
from recsys.ranges import at_least
from recsys.rewards.contract import checked_reward
from recsys.rewards.finite import require_finite
from recsys.rewards.reward import Reward, compares_requests
from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.record import TensorRecord
from recsys.types.slates import SamplingMethod, Slates, without_repeats


def most_probable_slate(policy: Policy, context: Context, slots: int) -> Slates:
    """Return the slate of each request that a policy is served with, `[B, 1, S]`.

    That is the best one of a search; the most probable items, best first, of a policy that fills slots from one
    distribution over items; one sample, always the same, of any other policy.

    Args:
        policy: what answers.
        context: `B` requests.
        slots: `S`, at least 1.

    Raises:
        EmptyLegalSetError: a request allows no item.
    """
    if isinstance(policy, NetworkPolicy):
        return policy.top(context, 1, slots)
    if isinstance(policy, ItemPolicy):
        items = policy.top(context, slots).items.transpose(1, 2)
        found = Slates(items, torch.zeros(items.shape, device=items.device), SamplingMethod.TOP)
        return found.replace(log_prob=policy.log_prob(context, found))
    return policy.sample(context, 1, slots, torch.Generator(context.users.device).manual_seed(0))


@dataclass(frozen=True)
class BestSlates(TensorRecord):
    """The best candidate of each of `B` requests.

    Args:
        slates: `[B, 1, S]`; their log-probability is the policy's, not that of being the best of several.
        reward: `[B]`, of the slate; NaN where no candidate has an item in every slot. Then the first one is served.
        sampled: `[B]`, number of candidates that were sampled.
        distinct: `[B]`, number of different ones among them that are whole, from which the best was chosen.
    """

    slates: Slates
    reward: Float[Tensor, " B"]
    sampled: Int[Tensor, " B"]
    distinct: Int[Tensor, " B"]


class BestOf:
    """Best-of-N: of `N` slates that a policy samples, the one that a reward likes best.

    Candidates are independent samples. A beam search of slates finds neighbours, which often differ in their last slot
    alone and leave the reward little to choose from; and of samples it is known how far the choice moves from the
    policy: by at most `best_of_kl_bound(N)`, however the reward is. Where the reward ignores the order of a slate,
    candidates that hold the items of an earlier one are removed before they are compared. Of equal rewards the earliest
    candidate wins, so that ties are broken by the policy. `N = 1` is a sample of the policy.

    It is no `Policy`: the probability of the best of several has no closed form.

    Args:
        policy: what samples.
        reward: of the request and its slates, such as `LearnedReward`, a reward model with its scalariser; there is no
            logged answer to read. A reward of slots counts as their sum.
        candidates: `N`, at least 1, of each request; with an allocation that adapts, on average over the batch.
        allocation: how candidates are divided between the requests of a batch.

    Raises:
        ConfigurationError: the allocation compares requests, and the reward does not.
    """

    def __init__(
        self, policy: Policy, reward: Reward, candidates: int = 32, allocation: Allocation | None = None
    ) -> None:
        at_least(1, candidates=candidates)
        allocation = UniformAllocation() if allocation is None else allocation
        if allocation.compares_requests and not compares_requests(reward):
            raise ConfigurationError(
                f"allocation={type(allocation).__name__}: it compares the rewards of different requests, and the "
                f"reward {type(reward).__name__} compares candidates of one request only: choose a scalariser with one "
                "unit for all, such as ProbabilitySum or OneHead, or UniformAllocation"
            )
        self.policy = policy
        self.reward = reward
        self.candidates = candidates
        self.allocation = allocation

    @torch.no_grad()
    def best(
        self, context: Context, slots: int, generator: torch.Generator, sampled: Slates | None = None
    ) -> BestSlates:
        """Return the best of the candidates of each request.

        Args:
            context: `B` requests.
            slots: `S`, at least 1.
            generator: random generator on the device of the policy. Equal states give equal slates.
            sampled: independent samples of the same policy for these requests, to be explored instead of fresh ones,
                the first of them if there are more than the allocation explores.

        Raises:
            EmptyLegalSetError: a request allows no item.
            NonFiniteError: a candidate's reward is NaN or infinite.
            RequestError: `sampled` holds fewer candidates than the allocation explores.
        """
        explored = self.allocation.explored(self.candidates)
        if sampled is None:
            sampled = self.policy.sample(context, explored, slots, generator)
        if sampled.items.shape[1] < explored:
            raise RequestError(f"sampled: expected at least {explored} candidates, found {sampled.items.shape[1]}")
        first = sampled.replace(items=sampled.items[:, :explored], log_prob=sampled.log_prob[:, :explored])
        if explored == self.candidates:
            return self.among(context, first)
        further = self.allocation.further(self._rewarded(context, first), first.mask, self.candidates)
        more = self._drawn(context, further, slots, generator)
        joined = Slates(torch.cat([first.items, more.items], 1), torch.cat([first.log_prob, more.log_prob], 1))
        return self.among(context, joined).replace(sampled=further + explored)

    @torch.no_grad()
    def among(self, context: Context, slates: Slates) -> BestSlates:
        """Return the best of given candidates, such as those of another search.

        Args:
            context: `B` requests.
            slates: `G` candidates of each, at least 1; −1 stands for no item.

        Raises:
            NonFiniteError: a candidate's reward is NaN or infinite.
        """
        compared = slates if self.reward.order_matters else without_repeats(slates)[0]
        reward = self._rewarded(context, compared).masked_fill(~compared.mask, -torch.inf)
        value, place = reward.max(-1)
        row = torch.arange(len(place), device=place.device)
        chosen = Slates(slates.items[row, place].unsqueeze(1), slates.log_prob[row, place].unsqueeze(1))
        sampled = torch.full_like(place, slates.items.shape[1])
        return BestSlates(chosen, value.masked_fill(value.isneginf(), torch.nan), sampled, compared.mask.sum(-1))

    def _rewarded(self, context: Context, slates: Slates) -> Float[Tensor, "B G"]:
        name = type(self.reward).__name__
        reward = checked_reward(self.reward(Example(context, slates), slates), slates, name)
        require_finite(reward, slates, name)
        return reward.sum(-1) if reward.ndim == 3 else reward

    def _drawn(self, context: Context, counts: Int[Tensor, " B"], slots: int, generator: torch.Generator) -> Slates:
        """Sample so many candidates of each request; the others hold −1.

        A request of 13 gets 1, 4 and 8 of them: requests are asked together, and nothing is sampled to be dropped.
        """
        most = int(counts.max()) if len(counts) else 0
        items = torch.full((len(counts), most, slots), -1, device=counts.device)
        log_prob = torch.full(items.shape, -torch.inf, device=counts.device)
        placed = torch.zeros_like(counts)
        for bit in range(most.bit_length()):
            rows = (counts >> bit & 1).nonzero().squeeze(1)
            if not len(rows):
                continue
            found = self.policy.sample(context.select(rows), 1 << bit, slots, generator)
            columns = placed[rows].unsqueeze(1) + torch.arange(1 << bit, device=counts.device)
            items[rows.unsqueeze(1), columns] = found.items
            log_prob[rows.unsqueeze(1), columns] = found.log_prob.to(log_prob.dtype)
            placed[rows] += 1 << bit
        return Slates(items, log_prob)


def best_of_kl_bound(candidates: int) -> float:
    """Return `log N − (N − 1) / N`, the most that best-of-N can diverge from its policy, in nats.

    It bounds `KL(best of N ‖ policy)` for every policy and reward. It is reached in the limit of slates of distinct
    rewards that are each improbable; probable slates, and slates of equal rewards, leave the divergence smaller.

    Source: Beirami et al. 2024, "Theoretical guarantees on the best-of-n alignment policy" (arXiv 2401.01879).

    Args:
        candidates: `N`, independent samples, at least 1.

    >>> best_of_kl_bound(1), round(best_of_kl_bound(32), 4)
    (0.0, 2.497)
    """
    at_least(1, candidates=candidates)
    return math.log(candidates) - (candidates - 1) / candidates
