"""How a better and worse slates are taken from rewarded candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from recsys.ranges import at_least
from recsys.types.context import Context
from recsys.types.preference_pairs import PreferencePairs
from recsys.types.record import TensorRecord
from recsys.types.slates import SamplingMethod, Slates


@dataclass(frozen=True)
class RewardedSlates(TensorRecord):
    """Candidates of `P` requests and what they earn.

    Args:
        slates: `G` candidates a request, −1 where there is none.
        reward: `[P, G]`, finite where there is a candidate.
    """

    slates: Slates
    reward: Float[Tensor, "P G"]

    def __len__(self) -> int:
        return len(self.reward)

    def order(self) -> Int[Tensor, "P G"]:
        """Return the candidates from the best to the worst; those that are missing come last. Ties keep their order."""
        return self.reward.masked_fill(~self.slates.mask, float("-inf")).argsort(dim=-1, descending=True, stable=True)


class Candidates:
    """The rewarded candidates of the policy at the begin of the epoch and of the policy now, each made when asked for.

    Args:
        of_reference: makes those of the reference policy.
        of_policy: makes those of the policy that is trained.
    """

    def __init__(self, of_reference: Callable[[], RewardedSlates], of_policy: Callable[[], RewardedSlates]) -> None:
        self._of_reference, self._of_policy = of_reference, of_policy

    @cached_property
    def reference(self) -> RewardedSlates:
        """The candidates of the reference policy."""
        return self._of_reference()

    @cached_property
    def policy(self) -> RewardedSlates:
        """The candidates of the policy that is trained, as it is now."""
        return self._of_policy()


@runtime_checkable
class Pairing(Protocol):
    """Takes at most one pair of each request."""

    compares_groups: ClassVar[bool]
    """Whether rewards of candidates of two policies are compared: the reward must have one unit for all of them."""

    def __call__(self, candidates: Candidates, context: Context) -> tuple[Int[Tensor, " R"], PreferencePairs]:
        """Return the indices of the requests that have a pair, and their pairs.

        Args:
            candidates: of the requests.
            context: the requests.
        """
        ...


@dataclass(frozen=True)
class BestAgainstWorst(Pairing):
    """The best candidate of the reference policy against its worst ones: both are the policy's own.

    Source: OneRec (arXiv 2502.18965), algorithm 2; S-DPO (arXiv 2406.09215) for several worse ones.

    Args:
        worse: `W`, number of worse slates, at least 1; a request needs one candidate more.
        margin: how much more than the least bad of them the best must earn, at least 0, in the reward's unit.
        consistency: trust in each preference, from the candidates of the request; None leaves it unknown.

    Raises:
        ConfigurationError: a number is out of range.
    """

    compares_groups: ClassVar[bool] = False

    worse: int = 1
    margin: float = 0.0
    consistency: Callable[[RewardedSlates], Float[Tensor, " P"]] | None = None

    def __post_init__(self) -> None:
        at_least(1, worse=self.worse)
        at_least(0, margin=self.margin)

    def __call__(self, candidates: Candidates, context: Context) -> tuple[Int[Tensor, " R"], PreferencePairs]:
        """See the class."""
        found = candidates.reference
        return _pairs(found, found, self.worse, self.margin, context, self.consistency)


@dataclass(frozen=True)
class TemporalPairing(Pairing):
    """The best candidate of the policy now against the worst of the reference policy, which is older.

    Both candidates of a group become alike as the policy learns; candidates of two moments stay apart.

    Source: temporal self-rewarding (arXiv 2508.06026), with the epoch's begin as the past.

    Args:
        margin: how much more than the worst the best must earn, at least 0, in the reward's unit.

    Raises:
        ConfigurationError: the margin is negative.
    """

    compares_groups: ClassVar[bool] = True

    margin: float = 0.0

    def __post_init__(self) -> None:
        at_least(0, margin=self.margin)

    def __call__(self, candidates: Candidates, context: Context) -> tuple[Int[Tensor, " R"], PreferencePairs]:
        """See the class."""
        return _pairs(candidates.policy, candidates.reference, 1, self.margin, context, None)


def rank_consistency(found: RewardedSlates) -> Float[Tensor, " P"]:
    """Return `(τ + 1) / 2` of each request: how far the reward and the policy rank its candidates alike, in [0, 1].

    τ is Kendall's rank correlation of rewards and log-probabilities over the candidates that exist, pairs of which one
    is tied counting 0; ½ where there are fewer than two.

    Source: CREAM (arXiv 2410.12735), equation 8, which compares the rankings of two iterations.

    Args:
        found: the candidates.
    """
    mask = found.slates.mask
    both = (mask.unsqueeze(-1) & mask.unsqueeze(-2)).triu(1)
    likely = found.slates.slate_log_prob.masked_fill(~mask, 0.0)
    reward = found.reward.masked_fill(~mask, 0.0)
    agree = (likely.unsqueeze(-1) - likely.unsqueeze(-2)).sign() * (reward.unsqueeze(-1) - reward.unsqueeze(-2)).sign()
    pairs = both.sum((-1, -2))
    correlation = (agree * both).sum((-1, -2)) / pairs.clamp(min=1)
    return (correlation + 1) / 2


def _pairs(
    better: RewardedSlates,
    worse: RewardedSlates,
    count: int,
    margin: float,
    context: Context,
    consistency: Callable[[RewardedSlates], Float[Tensor, " P"]] | None,
) -> tuple[Int[Tensor, " R"], PreferencePairs]:
    """Return the first candidate of `better` against the last `count` of `worse`, where it earns more than they."""
    best = better.order()[:, :1]
    existing = worse.slates.mask.sum(-1, keepdim=True)
    last = existing - 1 - torch.arange(count, device=existing.device)
    enough = last[:, -1] >= (1 if worse is better else 0)
    worst = worse.order().gather(1, last.clamp(min=0))
    gain = better.reward.gather(1, best) - worse.reward.gather(1, worst)
    rows = (better.slates.mask.any(-1) & enough & (gain.min(-1).values > margin)).nonzero().squeeze(-1)
    trust = None if consistency is None else consistency(better)[rows]
    chosen, rejected = _taken(better.slates, best, rows), _taken(worse.slates, worst, rows)
    return rows, PreferencePairs(context.select(rows), chosen, rejected, better.reward.new_ones(len(rows)), trust)


def _taken(slates: Slates, columns: Int[Tensor, "P C"], rows: Int[Tensor, " R"]) -> Slates:
    place = columns.unsqueeze(-1).expand(-1, -1, slates.items.shape[-1])
    items, log_prob = slates.items.gather(1, place)[rows], slates.log_prob.gather(1, place)[rows]
    return Slates(items, log_prob, SamplingMethod.GIVEN)
