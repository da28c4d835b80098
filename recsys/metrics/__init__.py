"""Metrics of recommendations, and confidence intervals of their means.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.metrics.calibration import Reliability, interval_coverage, reliability
    from recsys.metrics.diversity import coverage, exposure, gini, intra_list_distance, novelty, self_information
    from recsys.metrics.evaluation import Evaluation
    from recsys.metrics.intervals import Interval, bootstrap, paired_difference
    from recsys.metrics.ranking import hit_rate, ndcg, rank_in_list, rank_in_scores, reciprocal_rank
    from recsys.metrics.results import evaluation_results, per_user, summarise
    from recsys.metrics.slate import log_likelihoods, slate_results

__all__ = [
    "Evaluation",
    "Interval",
    "Reliability",
    "bootstrap",
    "coverage",
    "evaluation_results",
    "exposure",
    "gini",
    "hit_rate",
    "interval_coverage",
    "intra_list_distance",
    "log_likelihoods",
    "ndcg",
    "novelty",
    "paired_difference",
    "per_user",
    "rank_in_list",
    "rank_in_scores",
    "reciprocal_rank",
    "reliability",
    "self_information",
    "slate_results",
    "summarise",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "calibration": ["Reliability", "interval_coverage", "reliability"],
        "diversity": ["coverage", "exposure", "gini", "intra_list_distance", "novelty", "self_information"],
        "evaluation": ["Evaluation"],
        "intervals": ["Interval", "bootstrap", "paired_difference"],
        "ranking": ["hit_rate", "ndcg", "rank_in_list", "rank_in_scores", "reciprocal_rank"],
        "results": ["evaluation_results", "per_user", "summarise"],
        "slate": ["log_likelihoods", "slate_results"],
    },
)
