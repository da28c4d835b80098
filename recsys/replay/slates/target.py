"""Join a policy, or a table of its probabilities, with a log of slates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.logs.batches import LoggedSlates
from recsys.data.logs.slate_policy_table import SlatePolicyTable
from recsys.errors import RequestError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.policy import Policy
from recsys.replay.slates.batch import Side, SlateBatch
from recsys.replay.slates.cascade import next_probability
from recsys.replay.slates.distribution import ListedSlates, SlateDistribution, with_distribution
from recsys.replay.slates.distribution_methods import SlateDistributionMethod, UniformSlates
from recsys.replay.slates.pseudo_inverse import PseudoInverseEstimate, pseudo_inverse, uniform_pseudo_inverse
from recsys.types.context import Context
from recsys.types.jagged import Jagged
from recsys.types.slates import Slates


@dataclass(frozen=True)
class SlateTarget:
    """Join a log of slates with a policy that is asked about every request.

    A policy alone gives the probabilities of slates and prefixes, for `WholeSlateWeights` and `PrefixWeights`. With
    `distribution` it also gives those of slots; with `logging`, the logging policy's that the log lacks; with both and
    `num_items`, the pseudo-inverse weight, if both distributions list slates or the logging policy is `UniformPolicy`.

    Args:
        policy: the target policy.
        distribution: way to obtain its distribution over slates; None leaves out what needs it.
        logging: the policy that wrote the log, if it can be asked.
        num_items: `N`; None leaves out the pseudo-inverse weight.
        scored: whether policies give the probability of a slate; False for those that can only be sampled.
        logging_distribution: way to obtain the logging policy's distribution; None for `distribution`.
    """

    policy: Policy
    distribution: SlateDistributionMethod | None = None
    logging: Policy | None = None
    num_items: int | None = None
    scored: bool = True
    logging_distribution: SlateDistributionMethod | None = None

    def written_by(self, other: SlateTarget) -> SlateTarget:
        """Return the same target on a log that another policy wrote."""
        return replace(self, logging=other.policy, logging_distribution=other.distribution)

    @torch.no_grad()
    def __call__(self, logged: LoggedSlates) -> SlateBatch:
        """Return a batch of the log joined with the policy; logged probabilities come before those of `logging`.

        Raises:
            RequestError: the log has no context, a distribution cannot be obtained, or `logging` cannot have written
                the log.
        """
        context = self.context_of(logged)
        rounds = SlateBatch(
            logged.items,
            logged.reward.double(),
            logging=_double(logged.propensity),
            logging_prefix=_double(logged.prefix),
            logging_slot=_double(logged.slot),
            user=logged.user,
            by_slot=logged.by_slot,
        )
        rounds, target = self._with(rounds, "target", self.policy, context, self.distribution)
        if self.logging is None:
            return rounds
        method = self.logging_distribution or self.distribution
        rounds, logging = self._with(rounds, "logging", self.logging, context, method)
        found = self._pseudo_inverse(rounds, context, logging, target)
        return (
            rounds if found is None else replace(rounds, pseudo_inverse=found.weight, pseudo_inverse_error=found.error)
        )

    def wrote(self, rounds: SlateBatch, logged: LoggedSlates) -> SlateBatch:
        """Return the batch with this policy's probabilities as those of the logging policy."""
        return self._with(rounds, "logging", self.policy, self.context_of(logged), self.distribution)[0]

    def next_probability(self, logged: LoggedSlates) -> Float[Tensor, "n S N"]:
        """Return the probability of every item at every slot, given the logged slots before it.

        Raises:
            RequestError: `num_items` is None.
        """
        if self.num_items is None:
            raise RequestError("a model of slots needs every item's probability, and how many there are is not known")
        return next_probability(self.policy, self.context_of(logged), logged.items, self.num_items)

    def context_of(self, logged: LoggedSlates) -> Context:
        """Return the contexts that the policies are asked about.

        Raises:
            RequestError: the log has no context, and a policy other than the uniform one needs it.
        """
        if logged.context is not None:
            return logged.context
        if not all(isinstance(one, UniformPolicy) for one in (self.policy, self.logging) if one is not None):
            raise RequestError(
                "a policy is asked about the context of each request, and the log has none: give a table"
            )
        nothing = Jagged.empty(len(logged))
        return Context(logged.request, nothing, nothing)

    def _with(
        self, rounds: SlateBatch, side: Side, policy: Policy, context: Context, method: SlateDistributionMethod | None
    ) -> tuple[SlateBatch, SlateDistribution | None]:
        if self.scored and getattr(rounds, f"{side}_prefix") is None:
            rounds = replace(rounds, **{f"{side}_prefix": prefix_probability(policy, context, rounds.items)})
        if method is None:
            return rounds, None
        distribution = method(policy, context, rounds.items.shape[1])
        return with_distribution(rounds, side, distribution), distribution

    def _pseudo_inverse(
        self, rounds: SlateBatch, context: Context, logging: SlateDistribution | None, target: SlateDistribution | None
    ) -> PseudoInverseEstimate | None:
        if self.num_items is None or target is None:
            return None
        if isinstance(self.logging, UniformPolicy):
            allowed = UniformSlates.of(context, self.num_items).allowed
            weight = uniform_pseudo_inverse(rounds.items, rounds.need("target_at"), allowed)
            return PseudoInverseEstimate(weight, torch.zeros_like(weight))
        if isinstance(logging, ListedSlates) and isinstance(target, ListedSlates):
            return pseudo_inverse(rounds.items, logging, target, self.num_items)
        return None


def prefix_probability(policy: Policy, context: Context, items: Tensor) -> Float[Tensor, "n S"]:
    """Return the probability of each slot's item given the slots before it, for one slate a request; 1 if empty."""
    slates = Slates(items.unsqueeze(1), torch.zeros_like(items.unsqueeze(1), dtype=torch.float32))
    probability = policy.log_prob(context, slates).squeeze(1).double().exp()
    return torch.where(items < 0, 1.0, probability)


def _double(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.double()


@dataclass(frozen=True)
class SlateTableTarget:
    """Join a log of slates with a table of a target policy's probabilities.

    Args:
        table: probabilities of the target policy for the log.
        logging: the policy that wrote the log, where estimators need more of it than the log says; None otherwise.
    """

    table: SlatePolicyTable
    logging: SlateTarget | None = None

    def written_by(self, other: SlateTarget) -> SlateTableTarget:
        """Return the same target on a log that another policy wrote."""
        return replace(self, logging=other)

    def next_probability(self, logged: LoggedSlates) -> Float[Tensor, "n S N"]:
        """Return the probability of every item at every slot, independent of the slots before it.

        Raises:
            RequestError: the table has logged slates only.
        """
        return self.table.every_slot(logged)

    def __call__(self, logged: LoggedSlates) -> SlateBatch:
        """Return a batch of the log joined with the table."""
        table, rows = self.table, logged.request
        rounds = SlateBatch(
            logged.items,
            logged.reward.double(),
            logging=_double(logged.propensity),
            target=None if table.propensity is None else table.propensity[rows],
            logging_prefix=_double(logged.prefix),
            target_prefix=None if table.prefix is None else table.prefix[rows],
            logging_slot=_double(logged.slot),
            target_slot=None if table.slot is None else table.slot[rows],
            target_at=None if table.place is None else _at(table, logged),
            user=logged.user,
            by_slot=logged.by_slot,
        )
        return rounds if self.logging is None else self.logging.wrote(rounds, logged)


def _at(table: SlatePolicyTable, logged: LoggedSlates) -> Float[Tensor, "n S S"]:
    """Return, at `(i, k, l)`, the probability that slot `l` holds the item of slot `k`; 1 where a slot is empty."""
    everywhere = table.every_slot(logged).transpose(1, 2)
    slots = logged.items.shape[1]
    index = logged.items.clamp(min=0).unsqueeze(2).expand(-1, -1, slots)
    empty = logged.items < 0
    return everywhere.gather(1, index).masked_fill(empty.unsqueeze(1) | empty.unsqueeze(2), 1.0)
