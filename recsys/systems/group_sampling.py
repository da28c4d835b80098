"""Sample the group of candidates of each request that group policy optimisation learns from."""

from __future__ import annotations

import math
from abc import ABC
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Int
from torch import Tensor
from typing_extensions import override

from recsys.errors import ConfigurationError
from recsys.objectives.boundary_pair import structural_score
from recsys.objectives.group_transforms import dynamic_sampling, insert_logged, recast_repair, shared_codes
from recsys.policies.network_policy import NetworkPolicy
from recsys.ranges import at_least
from recsys.types.example import Example
from recsys.types.slates import SamplingMethod, Slates


@runtime_checkable
class GroupSampler(Protocol):
    """Samples candidate slates for encoded requests."""

    def __call__(
        self, policy: NetworkPolicy, memory: Any, examples: Example, slots: int, generator: torch.Generator
    ) -> Slates:
        """Return `G` candidates a request, `[P, G, S]`, without gradient.

        Args:
            policy: what is sampled from.
            memory: of the requests, encoded by the policy's network.
            examples: the requests, with their logged answers.
            slots: S.
            generator: draws.

        Raises:
            ConfigurationError: it samples no slates of so many slots.
        """
        ...


@dataclass(frozen=True)
class SizedSampler(GroupSampler, ABC):
    """The base of samplers of groups of a given size.

    Args:
        candidates: G, at least 1.
    """

    candidates: int = 16

    def __post_init__(self) -> None:
        at_least(1, candidates=self.candidates)


@dataclass(frozen=True)
class BeamSampler(SizedSampler):
    """The most probable slates by constrained beam search: of one slot ReRe's published setting, of several OneRec's.

    Deterministic given the policy: an objective that averages over it is biased unless it says otherwise.

    Args:
        candidates: G.
    """

    @override
    def __call__(
        self, policy: NetworkPolicy, memory: Any, examples: Example, slots: int, generator: torch.Generator
    ) -> Slates:
        return policy.top_from(memory, examples.context, self.candidates, slots)


@dataclass(frozen=True)
class StochasticBeamSampler(SizedSampler):
    """Distinct legal items sampled without replacement, with their inclusion probabilities.

    Args:
        candidates: G.
    """

    @override
    def __call__(
        self, policy: NetworkPolicy, memory: Any, examples: Example, slots: int, generator: torch.Generator
    ) -> Slates:
        _require_one_slot(slots, "StochasticBeamSampler")
        return policy.sample_without_replacement_from(memory, examples.context, self.candidates, generator)


@dataclass(frozen=True)
class IndependentSampler(SizedSampler):
    """Independent slates; a candidate may come twice.

    Args:
        candidates: G.
    """

    @override
    def __call__(
        self, policy: NetworkPolicy, memory: Any, examples: Example, slots: int, generator: torch.Generator
    ) -> Slates:
        return policy.sample_from(memory, examples.context, self.candidates, slots, generator)


@dataclass(frozen=True)
class TargetInsertionSampler(GroupSampler):
    """Another sampler's group, its last candidate overwritten by the logged answer where it is missing (`add_gt`).

    Groups of requests whose legal set lacks the logged answer stay as they are.

    Such a group is no sample of the policy; from a well-trained start it costs accuracy (docs/log.md).

    Args:
        sampler: what samples.
    """

    sampler: GroupSampler

    @override
    def __call__(
        self, policy: NetworkPolicy, memory: Any, examples: Example, slots: int, generator: torch.Generator
    ) -> Slates:
        slates = self.sampler(policy, memory, examples, slots, generator)
        items = insert_logged(slates.items, _logged_slates(examples, slots, "TargetInsertionSampler"))
        items = _if_legal(items, slates.items, examples, policy)
        return _inserted(items, slates, policy, memory, examples)


@dataclass(frozen=True)
class ReCastSampler(GroupSampler):
    """Another sampler's group, the candidate least like the logged item overwritten by it where it is missing.

    Groups of requests whose legal set lacks the logged item stay as they are.

    Args:
        sampler: what samples.

    Source: ReCast (arXiv 2604.22169).
    """

    sampler: GroupSampler

    @override
    def __call__(
        self, policy: NetworkPolicy, memory: Any, examples: Example, slots: int, generator: torch.Generator
    ) -> Slates:
        _require_one_slot(slots, "ReCastSampler")
        slates = self.sampler(policy, memory, examples, slots, generator)
        items, logged = slates.items, _logged_slates(examples, slots, "ReCastSampler")
        asked = items.where(slates.mask.unsqueeze(-1), logged.unsqueeze(1))
        trie = policy.network.trie
        score = structural_score(shared_codes(trie.path(asked), trie.path(logged)), trie.depth)
        repaired = _if_legal(recast_repair(items, logged, score), items, examples, policy)
        return _inserted(repaired, slates, policy, memory, examples)


@dataclass(frozen=True)
class DynamicSampler(SizedSampler):
    """More independent slates than are kept: the logged answer if sampled, then as many different slates as there are.

    Args:
        candidates: G, kept.
        factor: slates sampled for each candidate kept, at least 1; 1.5 in released code.
    """

    factor: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least(1, factor=self.factor)

    @override
    def __call__(
        self, policy: NetworkPolicy, memory: Any, examples: Example, slots: int, generator: torch.Generator
    ) -> Slates:
        count = math.ceil(self.candidates * self.factor)
        sampled = policy.sample_from(memory, examples.context, count, slots, generator)
        logged = _logged_slates(examples, slots, "DynamicSampler")
        columns = dynamic_sampling(sampled.items, logged, self.candidates).unsqueeze(-1).expand(-1, -1, slots)
        return replace(
            sampled,
            items=sampled.items.gather(1, columns),
            log_prob=sampled.log_prob.gather(1, columns),
            sampling_method=SamplingMethod.GIVEN,
        )


def _if_legal(
    inserted: Int[Tensor, "P G S"], sampled: Int[Tensor, "P G S"], examples: Example, policy: NetworkPolicy
) -> Int[Tensor, "P G S"]:
    """Return the groups with the logged answer where every item of it is legal, the sampled ones elsewhere."""
    logged = examples.slates.items[:, 0]
    illegal = examples.context.illegal(policy.network.trie.num_items)
    legal = (logged >= 0) & ~illegal.gather(1, logged.clamp(min=0))
    return inserted.where(legal.all(-1)[:, None, None], sampled)


@torch.no_grad()
def _inserted(
    items: Int[Tensor, "P G S"], sampled: Slates, policy: NetworkPolicy, memory: Any, examples: Example
) -> Slates:
    """Return groups in which at most one candidate is another than was sampled, with its own log-probability."""
    other = (items != sampled.items).any(-1)
    place = other.long().argmax(-1)[:, None, None].expand(-1, 1, items.shape[-1])
    own = policy.log_prob_from(memory, examples.context, items.gather(1, place)).sum(-1)
    log_prob = torch.where(other.unsqueeze(-1), own.to(sampled.log_prob.dtype), sampled.log_prob)
    return Slates(items, log_prob, SamplingMethod.GIVEN)


def _require_one_slot(slots: int, sampler: str) -> None:
    if slots != 1:
        raise ConfigurationError(
            f"{sampler} samples single items, but slots={slots}: choose IndependentSampler (`sampler: independent`)"
        )


def _logged_slates(examples: Example, slots: int, sampler: str) -> Int[Tensor, "P S"]:
    shape = tuple(examples.slates.items.shape[1:])
    if shape != (1, slots):
        raise ConfigurationError(
            f"{sampler} needs the logged answer, one slate of {slots} slots a request; the log has {shape[0]} of "
            f"{shape[1]} slots: set slots={shape[1]}, or choose IndependentSampler"
        )
    return examples.slates.items[:, 0]


WITHOUT_INCLUSION = (BeamSampler, IndependentSampler, TargetInsertionSampler, ReCastSampler, DynamicSampler)
"""Samplers of groups whose inclusion probabilities are not known."""
