"""From a request and its slates to numbers, one a slate or one a slot.

The public names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from recsys._lazy import lazy_names

if TYPE_CHECKING:
    from recsys.rewards.combined import ThresholdedReward, WeightedSum
    from recsys.rewards.frozen_model import CollaborativeReward, SemanticReward
    from recsys.rewards.learned import LearnedReward, OneHead, ProbabilitySum, RankSum, StandardisedSum
    from recsys.rewards.legality import LegalityReward
    from recsys.rewards.rank import NdcgReward, RankingReward, ReleasedRankingReward
    from recsys.rewards.reward import HitReward, Reward, SlotHitReward, is_hit

__all__ = [
    "CollaborativeReward",
    "HitReward",
    "LearnedReward",
    "LegalityReward",
    "NdcgReward",
    "OneHead",
    "ProbabilitySum",
    "RankSum",
    "RankingReward",
    "ReleasedRankingReward",
    "Reward",
    "SemanticReward",
    "SlotHitReward",
    "StandardisedSum",
    "ThresholdedReward",
    "WeightedSum",
    "is_hit",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "combined": ["ThresholdedReward", "WeightedSum"],
        "frozen_model": ["CollaborativeReward", "SemanticReward"],
        "learned": ["LearnedReward", "OneHead", "ProbabilitySum", "RankSum", "StandardisedSum"],
        "legality": ["LegalityReward"],
        "rank": ["NdcgReward", "RankingReward", "ReleasedRankingReward"],
        "reward": ["HitReward", "Reward", "SlotHitReward", "is_hit"],
    },
)
