"""Cross-fitted reward models of single actions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from typing_extensions import override

from recsys.data.logs.batches import LoggedActions
from recsys.errors import RequestError
from recsys.replay.actions.cross_fitting import every_pair, features_of_actions, folds, out_of_fold, pairs
from recsys.replay.actions.weights import require


@dataclass(frozen=True)
class RewardExamples:
    """Rounds to learn from.

    Args:
        context: `[n, F]`, or None.
        action: `[n]`, in `0 … A − 1`.
        reward: `[n]`.
        weight: `[n]`, at least 0, how much each squared error counts.
    """

    context: Float[Tensor, "n F"] | None
    action: Int[Tensor, " n"]
    reward: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]


@runtime_checkable
class RewardModel(Protocol):
    """`q(x, a)`, learnt anew for each fold."""

    def __call__(
        self, seen: RewardExamples, context: Float[Tensor, "m F"] | None, rows: int, actions: int
    ) -> Float[Tensor, "m A"]:
        """Predictions for `rows` contexts and every action.

        Args:
            seen: what to learn from.
            context: to predict for, or None.
            rows: `m`.
            actions: `A`.
        """
        ...


def cross_fitted(
    model: RewardModel,
    log: LoggedActions,
    actions: int,
    *,
    weight: Float[Tensor, " n"] | None = None,
    count: int = 5,
    seed: int = 0,
) -> Float[Tensor, "n A"]:
    """`[n, A]`, `q(x, ·)` of every round by a model that saw neither it nor its user: `BanditBatch.predicted_all`.

    With `mrdr_sample_weight` for weight it is `BanditBatch.mrdr_all`. Source: Zheng and van der Laan 2011,
    "Cross-validated targeted minimum-loss-based estimation"; Chernozhukov and others 2018, "Double/debiased machine
    learning".

    Args:
        model: what learns.
        log: the rounds; folds are of users where it has them.
        actions: `A`.
        weight: how much each round's squared error counts; evenly where None.
        count: of folds.
        seed: of the folds.

    Raises:
        RequestError: fewer users, or rounds, than folds.
    """
    unit = torch.arange(len(log)) if log.user is None else log.user
    weight = torch.ones(len(log), dtype=torch.float64) if weight is None else weight

    def answer(seen: Tensor, asked: Tensor) -> Tensor:
        context = (None, None) if log.context is None else (log.context[seen], log.context[asked])
        examples = RewardExamples(context[0], log.action[seen], log.reward[seen].double(), weight[seen])
        return model(examples, context[1], len(asked), actions)

    return out_of_fold(folds(unit, count, torch.Generator().manual_seed(seed)), answer)


@dataclass(frozen=True)
class ActionMeans(RewardModel):
    """Mean reward of each action, drawn to the mean of all: `(Σ r + s r̄) / (n_a + s)`; contexts do not matter.

    Args:
        strength: `s`, above 0, in rounds.

    >>> reward, weight = torch.tensor([1.0, 1.0, 0.0]).double(), torch.ones(3).double()
    >>> rounds = RewardExamples(None, torch.tensor([0, 0, 1]), reward, weight)
    >>> ActionMeans(strength=1.0)(rounds, None, 1, 3)  # 2.667 / 3, .667 / 2, .667 / 1
    tensor([[0.8889, 0.3333, 0.6667]], dtype=torch.float64)
    """

    strength: float = 10.0

    def __post_init__(self) -> None:
        require(self.strength > 0, f"the strength of a table of means is above 0 rounds, not {self.strength}")

    @override
    def __call__(
        self, seen: RewardExamples, context: Float[Tensor, "m F"] | None, rows: int, actions: int
    ) -> Float[Tensor, "m A"]:
        total = seen.weight.sum()
        everywhere = (seen.weight @ seen.reward) / total if total > 0 else seen.reward.mean()
        weight = torch.bincount(seen.action, seen.weight, actions)
        earned = torch.bincount(seen.action, seen.weight * seen.reward, actions)
        return ((earned + self.strength * everywhere) / (weight + self.strength)).expand(rows, -1)


@dataclass(frozen=True)
class RewardRegression(RewardModel):
    """A regression of scikit-learn on features of context and action, or a classifier of rewards that are few numbers.

    A classifier's prediction is the mean over its classes. Where all rewards to learn from are alike, that is the
    prediction, since classifiers refuse to learn one class.

    Args:
        make: a new estimator, which takes `sample_weight` in `fit`; for a pipeline see `weight_key`.
        action_features: `[A, D]`; one indicator an action where None.
        weight_key: what `fit` calls the weights: `ridge__sample_weight` for the step `ridge` of a pipeline.

    Raises, when it is called:
        RequestError: a classifier is given rewards that are no whole numbers.
    """

    make: Callable[[], Any]
    action_features: Float[Tensor, "A D"] | None = None
    weight_key: str = "sample_weight"

    @override
    def __call__(
        self, seen: RewardExamples, context: Float[Tensor, "m F"] | None, rows: int, actions: int
    ) -> Float[Tensor, "m A"]:
        counted = seen.weight > 0
        reward = seen.reward[counted] if counted.any() else seen.reward.mean().unsqueeze(0)
        if (reward == reward[0]).all():
            return reward[0].expand(rows, actions)
        of_action = features_of_actions(self.action_features, actions)
        learner = self.make()
        if hasattr(learner, "predict_proba") and (strange := reward[reward != reward.round()]).numel():
            raise RequestError(
                f"{type(learner).__name__} tells few rewards apart, such as 0 and 1, and the log has {strange[0]:g}: "
                "take a regression (model=ridge)"
            )
        known = pairs(seen.context, seen.action, of_action)[counted]
        learner.fit(known.numpy(), reward.numpy(), **{self.weight_key: seen.weight[counted].numpy()})
        predicted = [_predict(learner, chunk.numpy()) for chunk in every_pair(context, rows, of_action)]
        return torch.from_numpy(np.concatenate(predicted)).view(rows, actions)


def _predict(learner: Any, features: np.ndarray) -> np.ndarray:
    if hasattr(learner, "predict_proba"):
        return learner.predict_proba(features) @ learner.classes_.astype(np.float64)
    return np.asarray(learner.predict(features), np.float64)
