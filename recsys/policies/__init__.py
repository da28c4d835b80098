"""Policies, which answer requests with slates: generators, baselines, bandits and mixtures.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.policies.allocation import AdaptiveAllocation, UniformAllocation
    from recsys.policies.autoregressive import AutoregressiveSlatePolicy
    from recsys.policies.bandits.greedy import EpsilonGreedy, Greedy, UniformPolicy, UpperConfidenceBound
    from recsys.policies.bandits.posteriors import BetaPosterior, LinearPosterior
    from recsys.policies.bandits.thompson import InSlateThompson, SlateThompson
    from recsys.policies.baselines.item_knn import ItemKNN
    from recsys.policies.baselines.markov_chain import MarkovChain
    from recsys.policies.baselines.oracle import Oracle
    from recsys.policies.baselines.popularity import PopularityPolicy
    from recsys.policies.best_of import BestOf, best_of_kl_bound, most_probable_slate
    from recsys.policies.evaluation import evaluate
    from recsys.policies.generative import GenerativePolicy, UnmaskedPolicy
    from recsys.policies.mixture import Mixture, best_weight
    from recsys.policies.policy import ItemPolicy, Policy, SoftmaxPolicy
    from recsys.policies.retrieval_query import MeanQuery, UpperConfidenceQuery
    from recsys.policies.scorer import OnlineLearner, Posterior, Scorer
    from recsys.policies.slate_learner import SlateLearner
    from recsys.policies.slate_posterior import InnerProductPosterior, SlatePosterior
    from recsys.policies.slate_q import SlateQPolicy
    from recsys.policies.two_stage import TwoStagePolicy
    from recsys.policies.two_stage_posterior import InnerProductTwoStagePosterior, TwoStagePosterior

__all__ = [
    "AdaptiveAllocation",
    "AutoregressiveSlatePolicy",
    "BestOf",
    "BetaPosterior",
    "EpsilonGreedy",
    "GenerativePolicy",
    "Greedy",
    "InSlateThompson",
    "InnerProductPosterior",
    "InnerProductTwoStagePosterior",
    "ItemKNN",
    "ItemPolicy",
    "LinearPosterior",
    "MarkovChain",
    "MeanQuery",
    "Mixture",
    "OnlineLearner",
    "Oracle",
    "Policy",
    "PopularityPolicy",
    "Posterior",
    "Scorer",
    "SlateLearner",
    "SlatePosterior",
    "SlateQPolicy",
    "SlateThompson",
    "SoftmaxPolicy",
    "TwoStagePolicy",
    "TwoStagePosterior",
    "UniformAllocation",
    "UniformPolicy",
    "UnmaskedPolicy",
    "UpperConfidenceBound",
    "UpperConfidenceQuery",
    "best_of_kl_bound",
    "best_weight",
    "evaluate",
    "most_probable_slate",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "allocation": ["AdaptiveAllocation", "UniformAllocation"],
        "autoregressive": ["AutoregressiveSlatePolicy"],
        "bandits.greedy": ["EpsilonGreedy", "Greedy", "UniformPolicy", "UpperConfidenceBound"],
        "bandits.posteriors": ["BetaPosterior", "LinearPosterior"],
        "bandits.thompson": ["InSlateThompson", "SlateThompson"],
        "baselines.item_knn": ["ItemKNN"],
        "baselines.markov_chain": ["MarkovChain"],
        "baselines.oracle": ["Oracle"],
        "baselines.popularity": ["PopularityPolicy"],
        "best_of": ["BestOf", "best_of_kl_bound", "most_probable_slate"],
        "evaluation": ["evaluate"],
        "generative": ["GenerativePolicy", "UnmaskedPolicy"],
        "mixture": ["Mixture", "best_weight"],
        "policy": ["ItemPolicy", "Policy", "SoftmaxPolicy"],
        "retrieval_query": ["MeanQuery", "UpperConfidenceQuery"],
        "scorer": ["OnlineLearner", "Posterior", "Scorer"],
        "slate_learner": ["SlateLearner"],
        "slate_posterior": ["InnerProductPosterior", "SlatePosterior"],
        "slate_q": ["SlateQPolicy"],
        "two_stage": ["TwoStagePolicy"],
        "two_stage_posterior": ["InnerProductTwoStagePosterior", "TwoStagePosterior"],
    },
)
