"""Open Bandit Pipeline on the logs of `replay.py`: the arrays it wants, made once, and what is timed."""

from __future__ import annotations

import numpy as np
from obp.ope import (
    DirectMethod,
    DoublyRobust,
    InverseProbabilityWeighting,
    OffPolicyEvaluation,
    SelfNormalizedInverseProbabilityWeighting,
    SlateIndependentIPS,
)
from torch import Tensor

from recsys.replay.actions.batch import BanditBatch

NAMES = {"ipw": "IPS", "snipw": "SNIPS", "dm": "DM", "dr": "DR"}
ESTIMATORS = (InverseProbabilityWeighting, SelfNormalizedInverseProbabilityWeighting, DirectMethod, DoublyRobust)
ENDS = ("95.0% CI (lower)", "95.0% CI (upper)")


class Pipeline:
    """Rounds in float64, which it computes in: float32 would cost it the equality that is asked for."""

    def __init__(self, log: BanditBatch) -> None:
        self.target, self.predicted = (
            log.need(name).double().unsqueeze(2).numpy() for name in ("target_all", "predicted_all")
        )
        self.logged = {
            "action": log.action.numpy(),
            "reward": log.reward.double().numpy(),
            "pscore": log.logging.double().numpy(),
        }
        feedback = {"position": None, "context": np.zeros((len(log), 1)), **self.logged}
        self.evaluation = OffPolicyEvaluation(feedback, [kind() for kind in ESTIMATORS])

    def values(self) -> dict[str, float]:
        """Of the four estimators."""
        found = self.evaluation.estimate_policy_values(self.target, estimated_rewards_by_reg_model=self.predicted)
        return {NAMES[name]: float(value) for name, value in found.items()}

    def intervals(self, resamples: int) -> dict[str, tuple[float, float]]:
        """Of the two that weigh."""
        found = {}
        for kind in ESTIMATORS[:2]:
            ends = kind().estimate_interval(
                action_dist=self.target, n_bootstrap_samples=resamples, random_state=0, **self.logged
            )
            found[NAMES[kind().estimator_name]] = (float(ends[ENDS[0]]), float(ends[ENDS[1]]))
        return found


class SlatePipeline:
    """Slots of slates, one a row, for independent IPS: of its slate estimators the one that checks the least.

    Args:
        reward: `[slates, slots]`.
        logging: `[slates, slots]`, of the item at its slot under the logging policy.
        target: the same under the target policy.
    """

    def __init__(self, reward: Tensor, logging: Tensor, target: Tensor) -> None:
        slates, slots = reward.shape
        self.logged = {
            "slate_id": np.repeat(np.arange(slates), slots),
            "position": np.tile(np.arange(slots), slates),
            "reward": reward.flatten().numpy(),
            "pscore_item_position": logging.flatten().numpy(),
            "evaluation_policy_pscore_item_position": target.flatten().numpy(),
        }

    def value(self) -> float:
        """Of a slate."""
        return float(SlateIndependentIPS(len_list=3).estimate_policy_value(**self.logged))

    def interval(self, resamples: int) -> tuple[float, float]:
        """Of it, resampled by slate."""
        ends = SlateIndependentIPS(len_list=3).estimate_interval(
            n_bootstrap_samples=resamples, random_state=0, **self.logged
        )
        return float(ends[ENDS[0]]), float(ends[ENDS[1]])
