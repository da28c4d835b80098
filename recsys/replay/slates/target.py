"""A policy put beside a log of slates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.context import Context
from recsys.data.logged_slates import LoggedSlates
from recsys.data.slates import Slates
from recsys.errors import RequestError
from recsys.policies.greedy import Uniform
from recsys.policies.policy import Policy
from recsys.replay.slates.law import Abstraction, Relevance, SlateLaw, with_law
from recsys.replay.slates.laws import LawOf
from recsys.replay.slates.listed import ListedSlates
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
    """

    policy: Policy
    law: LawOf | None = None
    logging: Policy | None = None
    num_items: int | None = None
    relevance: Relevance | None = None
    abstraction: Abstraction | None = None
    scored: bool = True

    @torch.no_grad()
    def __call__(self, logged: LoggedSlates) -> SlateRounds:
        """The log beside the policy; probabilities in the log come before those of `logging`.

        Raises:
            RequestError: the log has no context, a law cannot say what is asked, or `logging` did not write the log.
        """
        if logged.context is None:
            raise RequestError(
                "a policy is asked about the context of each request, and the log has none: give a table"
            )
        context = logged.context.without_target()
        rounds = SlateRounds(
            logged.items,
            logged.reward.double(),
            logging=_double(logged.propensity),
            logging_prefix=_double(logged.prefix),
            logging_slot=_double(logged.slot),
            user=logged.user,
            by_slot=logged.by_slot,
        )
        rounds, target = self._beside(rounds, "target", self.policy, context)
        if self.logging is None:
            return rounds
        rounds, logging = self._beside(rounds, "logging", self.logging, context)
        found = self._pseudo_inverse(rounds, context, logging, target)
        return (
            rounds if found is None else replace(rounds, pseudo_inverse=found.weight, pseudo_inverse_error=found.error)
        )

    def _beside(
        self, rounds: SlateRounds, side: Side, policy: Policy, context: Context
    ) -> tuple[SlateRounds, SlateLaw | None]:
        if self.scored and getattr(rounds, f"{side}_prefix") is None:
            rounds = replace(rounds, **{f"{side}_prefix": prefix_probability(policy, context, rounds.items)})
        if self.law is None:
            return rounds, None
        law = self.law(policy, context, rounds.items.shape[1])
        return with_law(rounds, side, law, relevance=self.relevance, abstraction=self.abstraction), law

    def _pseudo_inverse(
        self, rounds: SlateRounds, context: Context, logging: SlateLaw | None, target: SlateLaw | None
    ) -> PseudoInverseWeights | None:
        if self.num_items is None or target is None:
            return None
        if isinstance(self.logging, Uniform):
            allowed = (~context.illegal(self.num_items)).sum(-1)
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
