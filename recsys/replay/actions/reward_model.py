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
from recsys.ranges import above
from recsys.replay.actions.cross_fitting import every_pair, features_of_actions, folds, out_of_fold, pairs


@dataclass(frozen=True)
class RewardExamples:
    """Rounds that a reward model learns from.

    Args:
        context: `[n, F]`; None where the log has none.
        action: `[n]`, in `0 … A − 1`.
        reward: `[n]`.
        weight: `[n]`, weight of each round's squared error, at least 0.
    """

    context: Float[Tensor, "n F"] | None
    action: Int[Tensor, " n"]
    reward: Float[Tensor, " n"]
    weight: Float[Tensor, " n"]


@runtime_checkable
class RewardModel(Protocol):
    """A way to learn `q(x, a)`, the expected reward of an action in a context, from rounds."""

    def __call__(
        self, seen: RewardExamples, context: Float[Tensor, "m F"] | None, rows: int, actions: int
    ) -> Float[Tensor, "m A"]:
        """Return predictions for `rows` contexts and every action.

        Args:
            seen: rounds to learn from.
            context: contexts to predict for; None where the log has none.
            rows: `m`, number of contexts to predict for.
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
    """Return `q(x, ·)` of every round by a model that has seen neither the round nor its user.

    It is `BanditBatch.predicted_all`; with `mrdr_sample_weight` as `weight` it is `BanditBatch.mrdr_all`. Sources:
    Zheng and van der Laan 2011, "Cross-validated targeted minimum-loss-based estimation"; Chernozhukov and others 2018,
    "Double/debiased machine learning".

    Args:
        model: the model to fit.
        log: the rounds; folds are of users where it has them.
        actions: `A`.
        weight: weight of each round's squared error; equal where None.
        count: number of folds.
        seed: seed of the folds.

    Raises:
        RequestError: there are fewer users, or rounds, than folds.
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
    """Predict the mean reward of each action, shrunk towards the overall mean: `(Σ r + s r̄) / (n_a + s)`.

    Contexts are ignored.

    Args:
        strength: `s`, pseudo-count of rounds with the overall mean `r̄`, above 0.

    >>> reward, weight = torch.tensor([1.0, 1.0, 0.0]).double(), torch.ones(3).double()
    >>> rounds = RewardExamples(None, torch.tensor([0, 0, 1]), reward, weight)
    >>> ActionMeans(strength=1.0)(rounds, None, 1, 3)  # 2.667 / 3, .667 / 2, .667 / 1
    tensor([[0.8889, 0.3333, 0.6667]], dtype=torch.float64)
    """

    strength: float = 10.0

    def __post_init__(self) -> None:
        above(0, strength=self.strength)

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
    """Predict rewards from features of context and action by a scikit-learn regressor, or by a classifier of integers.

    The prediction of a classifier is the mean over its classes. If all rewards to learn from are equal, their value is
    the prediction, because classifiers refuse to learn one class. A call raises a `RequestError` if a classifier is
    given rewards that are not integers.

    Args:
        make: returns a new estimator whose `fit` takes sample weights.
        action_features: `[A, D]`; one indicator for each action where None.
        weight_key: name of the sample weights in `fit`; `ridge__sample_weight` for the step `ridge` of a pipeline.
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
