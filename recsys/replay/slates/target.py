"""A policy put beside a log of slates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.data.jagged import Jagged
from recsys.data.logged_slates import LoggedSlates
from recsys.data.slates import Slates
from recsys.errors import RequestError
from recsys.policies.greedy import Uniform
from recsys.policies.policy import Policy
from recsys.replay.slates.law import Abstraction, Relevance, SlateLaw, with_law
from recsys.replay.slates.laws import LawOf, UniformSlates
from recsys.replay.slates.listed import ListedSlates
from recsys.replay.slates.model import next_probability
from recsys.replay.slates.pseudo_inverse import PseudoInverseWeights, pseudo_inverse, uniform_pseudo_inverse
from recsys.replay.slates.rounds import Side, SlateRounds


@dataclass(frozen=True)
class SlateTarget:
    """What a policy would have done at each request of a log.

    Alone it gives the probabilities of slates and prefixes, for `Whole` and `Prefix` weights. With `law` it gives those
    of slots too, with `logging` those of the logging policy that the log does not have, with both and `num_items` the
    pseudo-inverse weight: where both laws list slates, or the logging policy is `Uniform`.

    Args:
        policy: to be judged.
        law: how its distribution over slates is had; None leaves out what needs it.
        logging: the policy that wrote the log, if it can still be asked.
        num_items: `N`; None leaves out the pseudo-inverse weight.
        relevance: `Φ`, for `Relevant` weights.
        abstraction: `φ`, for `Abstract` weights.
        scored: whether policies can tell the probability of a slate; False for those that can only be sampled.
        logging_law: how the logging policy's distribution is had, where not by `law`.
    """

    policy: Policy
    law: LawOf | None = None
    logging: Policy | None = None
    num_items: int | None = None
    relevance: Relevance | None = None
    abstraction: Abstraction | None = None
    scored: bool = True
    logging_law: LawOf | None = None

    def written_by(self, other: SlateTarget) -> SlateTarget:
        """The same, of a log that another policy wrote."""
        return replace(self, logging=other.policy, logging_law=other.law)

    @torch.no_grad()
    def __call__(self, logged: LoggedSlates) -> SlateRounds:
        """The log beside the policy; probabilities in the log come before those of `logging`.

        Raises:
            RequestError: the log has no context, a law cannot say what is asked, or `logging` did not write the log.
        """
        context = self.context_of(logged)
        rounds = SlateRounds(
            logged.items,
            logged.reward.double(),
            logging=_double(logged.propensity),
            logging_prefix=_double(logged.prefix),
            logging_slot=_double(logged.slot),
            user=logged.user,
            by_slot=logged.by_slot,
        )
        rounds, target = self._beside(rounds, "target", self.policy, context, self.law)
        if self.logging is None:
            return rounds
        law = self.logging_law or self.law
        rounds, logging = self._beside(rounds, "logging", self.logging, context, law)
        found = self._pseudo_inverse(rounds, context, logging, target)
        return (
            rounds if found is None else replace(rounds, pseudo_inverse=found.weight, pseudo_inverse_error=found.error)
        )

    def wrote(self, rounds: SlateRounds, logged: LoggedSlates) -> SlateRounds:
        """What this policy says of a log that it wrote, beside whichever policy is judged."""
        return self._beside(rounds, "logging", self.policy, self.context_of(logged), self.law)[0]

    def next_probability(self, logged: LoggedSlates) -> Float[Tensor, "n S N"]:
        """Of every item at every slot, given the logged slots before it.

        Raises:
            RequestError: `num_items` is not known.
        """
        if self.num_items is None:
            raise RequestError("a model of slots needs every item's probability, and how many there are is not known")
        return next_probability(self.policy, self.context_of(logged), logged.items, self.num_items)

    def context_of(self, logged: LoggedSlates) -> Context:
        """What the policies are asked about.

        Raises:
            RequestError: the log says nothing of its requests, which only a uniform policy can do without.
        """
        if logged.context is not None:
            return logged.context.without_target()
        if not all(isinstance(one, Uniform) for one in (self.policy, self.logging) if one is not None):
            raise RequestError(
                "a policy is asked about the context of each request, and the log has none: give a table"
            )
        nothing = Jagged.empty(len(logged))
        return Context(logged.request, nothing, nothing)

    def _beside(
        self, rounds: SlateRounds, side: Side, policy: Policy, context: Context, law_of: LawOf | None
    ) -> tuple[SlateRounds, SlateLaw | None]:
        if self.scored and getattr(rounds, f"{side}_prefix") is None:
            rounds = replace(rounds, **{f"{side}_prefix": prefix_probability(policy, context, rounds.items)})
        if law_of is None:
            return rounds, None
        law = law_of(policy, context, rounds.items.shape[1])
        return with_law(rounds, side, law, relevance=self.relevance, abstraction=self.abstraction), law

    def _pseudo_inverse(
        self, rounds: SlateRounds, context: Context, logging: SlateLaw | None, target: SlateLaw | None
    ) -> PseudoInverseWeights | None:
        if self.num_items is None or target is None:
            return None
        if isinstance(self.logging, Uniform):
            allowed = UniformSlates.of(context, self.num_items).allowed
            weight = uniform_pseudo_inverse(rounds.items, rounds.need("target_at"), allowed)
            return PseudoInverseWeights(weight, torch.zeros_like(weight))
        if isinstance(logging, ListedSlates) and isinstance(target, ListedSlates):
            return pseudo_inverse(rounds.items, logging, target, self.num_items)
        return None


def prefix_probability(policy: Policy, context: Context, items: Tensor) -> Float[Tensor, "n S"]:
    """Of each slot of one slate a request, given the slots before it; 1 in empty slots."""
    slates = Slates(items.unsqueeze(1), torch.zeros_like(items.unsqueeze(1), dtype=torch.float32))
    probability = policy.log_prob(context, slates).squeeze(1).double().exp()
    return torch.where(items < 0, 1.0, probability)


def _double(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.double()
