"""Losses as pure functions of rollouts, pairs, trajectories and logged answers.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.objectives.actor_critic import advantage_actor_critic, proximal_policy_optimisation
    from recsys.objectives.boundary_pair import recast
    from recsys.objectives.expected_reward import (
        normalised_without_replacement,
        truncated_expectation,
        without_replacement,
    )
    from recsys.objectives.group_preference import best_against_worst
    from recsys.objectives.group_relative import dapo, dr_grpo, ecpo, gbpo, grpo, grpo_sr, gspo, released_grpo
    from recsys.objectives.group_terms import group_mean, group_normalised, masked_mean
    from recsys.objectives.group_transforms import informative
    from recsys.objectives.lambda_rank import lambda_ndcg
    from recsys.objectives.likelihood import (
        NextItemObjective,
        catalogue_cross_entropy,
        cross_entropy,
        legal_set_cross_entropy,
    )
    from recsys.objectives.objective import Loss, Objective
    from recsys.objectives.preference import (
        PreferenceObjective,
        consistency_weighted,
        cpo,
        dpo,
        ipo,
        orpo,
        raft,
        robust_dpo,
        simpo,
        softmax_dpo,
    )
    from recsys.objectives.reinforce import top_k_reinforce
    from recsys.objectives.returns import discounted_returns, generalised_advantages, lambda_returns
    from recsys.objectives.weighted_sum import mixture

__all__ = [
    "Loss",
    "NextItemObjective",
    "Objective",
    "PreferenceObjective",
    "advantage_actor_critic",
    "best_against_worst",
    "catalogue_cross_entropy",
    "consistency_weighted",
    "cpo",
    "cross_entropy",
    "dapo",
    "discounted_returns",
    "dpo",
    "dr_grpo",
    "ecpo",
    "gbpo",
    "generalised_advantages",
    "group_mean",
    "group_normalised",
    "grpo",
    "grpo_sr",
    "gspo",
    "informative",
    "ipo",
    "lambda_ndcg",
    "lambda_returns",
    "legal_set_cross_entropy",
    "masked_mean",
    "mixture",
    "normalised_without_replacement",
    "orpo",
    "proximal_policy_optimisation",
    "raft",
    "recast",
    "released_grpo",
    "robust_dpo",
    "simpo",
    "softmax_dpo",
    "top_k_reinforce",
    "truncated_expectation",
    "without_replacement",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "actor_critic": ["advantage_actor_critic", "proximal_policy_optimisation"],
        "boundary_pair": ["recast"],
        "expected_reward": ["normalised_without_replacement", "truncated_expectation", "without_replacement"],
        "group_preference": ["best_against_worst"],
        "group_relative": ["dapo", "dr_grpo", "ecpo", "gbpo", "grpo", "grpo_sr", "gspo", "released_grpo"],
        "group_terms": ["group_mean", "group_normalised", "masked_mean"],
        "group_transforms": ["informative"],
        "lambda_rank": ["lambda_ndcg"],
        "likelihood": ["NextItemObjective", "catalogue_cross_entropy", "cross_entropy", "legal_set_cross_entropy"],
        "objective": ["Loss", "Objective"],
        "preference": [
            "PreferenceObjective",
            "consistency_weighted",
            "cpo",
            "dpo",
            "ipo",
            "orpo",
            "raft",
            "robust_dpo",
            "simpo",
            "softmax_dpo",
        ],
        "reinforce": ["top_k_reinforce"],
        "returns": ["discounted_returns", "generalised_advantages", "lambda_returns"],
        "weighted_sum": ["mixture"],
    },
)
