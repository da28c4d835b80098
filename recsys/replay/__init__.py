"""Off-policy evaluation: estimate from a log what another policy would have earned.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.replay.actions.cressie_read import CressieRead
    from recsys.replay.actions.doubly_robust import DM, DR, MRDR, SNDR
    from recsys.replay.actions.importance import IPS, SNIPS, RejectionSampling
    from recsys.replay.actions.marginal import ClusteredEstimator
    from recsys.replay.actions.reward_model import ActionMeans, RewardRegression
    from recsys.replay.actions.weights import Clip, EstimatedWeights, Shrink, SubGaussian, Switch
    from recsys.replay.diagnostics.overlap import OverlapLimits
    from recsys.replay.episodes.doubly_robust import SequentialDM, SequentialDR, WeightedDoublyRobust
    from recsys.replay.episodes.fitted_models import FittedValues
    from recsys.replay.episodes.fitted_q import LinearFittedQ, RegressedFittedQ
    from recsys.replay.episodes.importance import PerDecisionIPS, PerDecisionSNIPS, TrajectoryWise
    from recsys.replay.episodes.magic import MAGIC
    from recsys.replay.estimator import Estimator
    from recsys.replay.estimator_selection import Slope
    from recsys.replay.evaluation import evaluate
    from recsys.replay.intervals.bootstrap import Bootstrap
    from recsys.replay.intervals.methods import AnytimeValid, BootstrapPercentile, ClosedForm, EmpiricalBernstein
    from recsys.replay.options import ReplayOptions
    from recsys.replay.policy_selection import PolicyChoice, choose_policy
    from recsys.replay.propensities.estimation import estimate_propensities
    from recsys.replay.result import PolicyEstimate, ReplayResult
    from recsys.replay.slates.cascade import CascadeDR, SelfNormalisedCascadeDR
    from recsys.replay.slates.distribution_methods import EnumeratedSlates, PlackettLuceMarginals, SampledSlates
    from recsys.replay.slates.fitted_models import RewardToGoModel
    from recsys.replay.slates.importance import ControlVariate, SlateIPS, SlateSNIPS
    from recsys.replay.slates.weights import (
        PositionBasedWeights,
        PrefixWeights,
        PseudoInverse,
        SlotWeights,
        WholeSlateWeights,
    )
    from recsys.replay.targets.actions import TargetPolicy
    from recsys.replay.targets.policies import FromPolicy, PopularityTarget, TableTarget, TrainedPolicy, UniformTarget

__all__ = [
    "DM",
    "DR",
    "IPS",
    "MAGIC",
    "MRDR",
    "SNDR",
    "SNIPS",
    "ActionMeans",
    "AnytimeValid",
    "Bootstrap",
    "BootstrapPercentile",
    "CascadeDR",
    "Clip",
    "ClosedForm",
    "ClusteredEstimator",
    "ControlVariate",
    "CressieRead",
    "EmpiricalBernstein",
    "EnumeratedSlates",
    "EstimatedWeights",
    "Estimator",
    "FittedValues",
    "FromPolicy",
    "LinearFittedQ",
    "OverlapLimits",
    "PerDecisionIPS",
    "PerDecisionSNIPS",
    "PlackettLuceMarginals",
    "PolicyChoice",
    "PolicyEstimate",
    "PopularityTarget",
    "PositionBasedWeights",
    "PrefixWeights",
    "PseudoInverse",
    "RegressedFittedQ",
    "RejectionSampling",
    "ReplayOptions",
    "ReplayResult",
    "RewardRegression",
    "RewardToGoModel",
    "SampledSlates",
    "SelfNormalisedCascadeDR",
    "SequentialDM",
    "SequentialDR",
    "Shrink",
    "SlateIPS",
    "SlateSNIPS",
    "Slope",
    "SlotWeights",
    "SubGaussian",
    "Switch",
    "TableTarget",
    "TargetPolicy",
    "TrainedPolicy",
    "TrajectoryWise",
    "UniformTarget",
    "WeightedDoublyRobust",
    "WholeSlateWeights",
    "choose_policy",
    "estimate_propensities",
    "evaluate",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "actions.doubly_robust": ["DM", "DR", "MRDR", "SNDR"],
        "actions.importance": ["IPS", "RejectionSampling", "SNIPS"],
        "actions.cressie_read": ["CressieRead"],
        "actions.marginal": ["ClusteredEstimator"],
        "actions.reward_model": ["ActionMeans", "RewardRegression"],
        "actions.weights": ["Clip", "EstimatedWeights", "Shrink", "SubGaussian", "Switch"],
        "diagnostics.overlap": ["OverlapLimits"],
        "episodes.doubly_robust": ["SequentialDM", "SequentialDR", "WeightedDoublyRobust"],
        "episodes.fitted_models": ["FittedValues"],
        "episodes.fitted_q": ["LinearFittedQ", "RegressedFittedQ"],
        "episodes.importance": ["PerDecisionIPS", "PerDecisionSNIPS", "TrajectoryWise"],
        "episodes.magic": ["MAGIC"],
        "estimator": ["Estimator"],
        "estimator_selection": ["Slope"],
        "evaluation": ["evaluate"],
        "intervals.bootstrap": ["Bootstrap"],
        "intervals.methods": ["AnytimeValid", "BootstrapPercentile", "ClosedForm", "EmpiricalBernstein"],
        "options": ["ReplayOptions"],
        "policy_selection": ["PolicyChoice", "choose_policy"],
        "propensities.estimation": ["estimate_propensities"],
        "result": ["PolicyEstimate", "ReplayResult"],
        "slates.cascade": ["CascadeDR", "SelfNormalisedCascadeDR"],
        "slates.distribution_methods": ["EnumeratedSlates", "PlackettLuceMarginals", "SampledSlates"],
        "slates.fitted_models": ["RewardToGoModel"],
        "slates.importance": ["ControlVariate", "SlateIPS", "SlateSNIPS"],
        "slates.weights": [
            "PositionBasedWeights",
            "PrefixWeights",
            "PseudoInverse",
            "SlotWeights",
            "WholeSlateWeights",
        ],
        "targets.actions": ["TargetPolicy"],
        "targets.policies": ["FromPolicy", "PopularityTarget", "TableTarget", "TrainedPolicy", "UniformTarget"],
    },
)
