"""Sample the group of candidates of each request that group policy optimisation learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch

from recsys.objectives.group_transforms import dynamic_sampling, insert_logged, recast_repair, shared_codes
from recsys.objectives.recast import structural_score
from recsys.policies.generative import GenerativePolicy
from recsys.types.example import Example
from recsys.types.slates import SamplingMethod, Slates


@runtime_checkable
class GroupSampler(Protocol):
    """Draws single-slot slates for encoded requests."""

    def __call__(self, policy: GenerativePolicy, memory: Any, examples: Example, generator: torch.Generator) -> Slates:
        """`[P, G, 1]`, without gradient."""
        ...


@dataclass(frozen=True)
class BeamSampler:
    """The `candidates` most probable legal items by constrained beam search, ReRe's published setting.

    Deterministic given the policy: an objective that averages over it is biased unless it says otherwise.
    """

    candidates: int = 16

    def __call__(self, policy: GenerativePolicy, memory: Any, examples: Example, generator: torch.Generator) -> Slates:
        """See `GroupSampler`."""
        return policy.top_from(memory, examples.context, self.candidates)


@dataclass(frozen=True)
class StochasticBeamSampler:
    """`candidates` distinct legal items drawn without replacement, with their inclusion probabilities."""

    candidates: int = 16

    def __call__(self, policy: GenerativePolicy, memory: Any, examples: Example, generator: torch.Generator) -> Slates:
        """See `GroupSampler`."""
        return policy.sample_without_replacement_from(memory, examples.context, self.candidates, generator)


@dataclass(frozen=True)
class IndependentSampler:
    """`candidates` independent draws; a candidate may come twice."""

    candidates: int = 16

    def __call__(self, policy: GenerativePolicy, memory: Any, examples: Example, generator: torch.Generator) -> Slates:
        """See `GroupSampler`."""
        return policy.sample_from(memory, examples.context, self.candidates, 1, generator)


@dataclass(frozen=True)
class TargetInsertionSampler:
    """Another rollout, its last candidate overwritten by the logged item where the group lacks it (`add_gt`).

    Such a group is no sample of the policy; from a well-trained start it costs accuracy (docs/log.md).

    Args:
        rollout: what draws.
    """

    rollout: GroupSampler

    def __call__(self, policy: GenerativePolicy, memory: Any, examples: Example, generator: torch.Generator) -> Slates:
        """See `GroupSampler`."""
        slates = self.rollout(policy, memory, examples, generator)
        items = insert_logged(slates.items, examples.item.unsqueeze(1))
        return Slates(items, slates.log_prob, SamplingMethod.GIVEN)


@dataclass(frozen=True)
class ReCastSampler:
    """Another rollout, the candidate least like the logged item overwritten by it where the group lacks it (ReCast).

    Args:
        rollout: what draws.
    """

    rollout: GroupSampler

    def __call__(self, policy: GenerativePolicy, memory: Any, examples: Example, generator: torch.Generator) -> Slates:
        """See `GroupSampler`."""
        slates = self.rollout(policy, memory, examples, generator)
        items, logged = slates.items, examples.item.unsqueeze(1)
        asked = items.where(slates.mask.unsqueeze(-1), logged.unsqueeze(1))
        trie = policy.network.trie
        score = structural_score(shared_codes(trie.path(asked), trie.path(logged)), trie.depth)
        return Slates(recast_repair(items, logged, score), slates.log_prob, SamplingMethod.GIVEN)


@dataclass(frozen=True)
class DynamicSampler:
    """More independent draws than are kept: the logged item if drawn, then as many different items as there are.

    Args:
        candidates: `G`, kept.
        factor: draws for each candidate kept, at least 1; 1.5 in released code.
    """

    candidates: int = 16
    factor: float = 1.5

    def __call__(self, policy: GenerativePolicy, memory: Any, examples: Example, generator: torch.Generator) -> Slates:
        """See `GroupSampler`."""
        drawn = policy.sample_from(memory, examples.context, math.ceil(self.candidates * self.factor), 1, generator)
        columns = dynamic_sampling(drawn.items, examples.item.unsqueeze(1), self.candidates).unsqueeze(-1)
        return replace(
            drawn,
            items=drawn.items.gather(1, columns),
            log_prob=drawn.log_prob.gather(1, columns),
            sampling_method=SamplingMethod.GIVEN,
        )
