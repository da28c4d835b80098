"""LightningModules, one a way of learning; each wires parts together and holds none of their logic.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.systems.actor_critic import ActorCritic
    from recsys.systems.group_policy_optimisation import GroupPolicyOptimisation
    from recsys.systems.group_sampling import (
        BeamSampler,
        DynamicSampler,
        GroupSampler,
        IndependentSampler,
        ReCastSampler,
        StochasticBeamSampler,
        TargetInsertionSampler,
    )
    from recsys.systems.reference_policy import EpochReference, FrozenReference, MovingAverageReference, ReferencePolicy
    from recsys.systems.reinforce import Reinforce
    from recsys.systems.seeds import step_generator
    from recsys.systems.sequential import SequentialSystem
    from recsys.systems.slate_elbo import SlateElboSystem
    from recsys.systems.slate_q import SlateQ
    from recsys.systems.supervised import SupervisedSystem

__all__ = [
    "ActorCritic",
    "BeamSampler",
    "DynamicSampler",
    "EpochReference",
    "FrozenReference",
    "GroupPolicyOptimisation",
    "GroupSampler",
    "IndependentSampler",
    "MovingAverageReference",
    "ReCastSampler",
    "ReferencePolicy",
    "Reinforce",
    "SequentialSystem",
    "SlateElboSystem",
    "SlateQ",
    "StochasticBeamSampler",
    "SupervisedSystem",
    "TargetInsertionSampler",
    "step_generator",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "actor_critic": ["ActorCritic"],
        "group_policy_optimisation": ["GroupPolicyOptimisation"],
        "group_sampling": [
            "BeamSampler",
            "DynamicSampler",
            "GroupSampler",
            "IndependentSampler",
            "ReCastSampler",
            "StochasticBeamSampler",
            "TargetInsertionSampler",
        ],
        "reference_policy": ["EpochReference", "FrozenReference", "MovingAverageReference", "ReferencePolicy"],
        "reinforce": ["Reinforce"],
        "seeds": ["step_generator"],
        "sequential": ["SequentialSystem"],
        "slate_elbo": ["SlateElboSystem"],
        "slate_q": ["SlateQ"],
        "supervised": ["SupervisedSystem"],
    },
)
