"""Importance weights learnt without propensities, by classifying logged against target actions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.logs.batches import LoggedActions
from recsys.errors import RequestError
from recsys.replay.actions.cross_fitting import every_pair, features_of_actions, folds, out_of_fold, pairs


def logistic() -> Any:
    """Return scikit-learn's logistic regression with its default penalty and enough iterations to converge."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)


def balancing_weights(
    log: LoggedActions,
    target_all: Float[Tensor, "n A"],
    *,
    make: Callable[[], Any] = logistic,
    action_features: Float[Tensor, "A D"] | None = None,
    count: int = 5,
    seed: int = 0,
) -> Float[Tensor, " n"]:
    """Return importance weights `[n]` learnt by a classifier, `c / (1 − c)`: `BanditBatch.estimated_weight`.

    `c(x, a)` is the probability that a pair of context and action comes from the target policy. The classifier is
    trained on every logged pair, labelled "logged" with weight 1, and on every context with every action, labelled
    "target" with weight `π(a | x)`. Where it is calibrated, the odds are `π(a | x) / p(a | x)`, and
    `IPS(EstimatedWeights())` is consistent; otherwise it is biased by as much as the classifier is wrong. The weights
    are cross-fitted: no weight comes from a classifier that saw the round or its user. Memory grows with `n × A × (F +
    D)` numbers. Source: Sondhi, Arbour, Dimmery 2020, "Balanced off-policy evaluation in general action spaces".

    Args:
        log: the rounds; folds are of users where it has them.
        target_all: `π(· | x)` of each round.
        make: returns a new classifier with `sample_weight` in `fit`, and `predict_proba`.
        action_features: `[A, D]`; one indicator for each action where None.
        count: number of folds.
        seed: seed of the folds.

    Raises:
        RequestError: there are fewer users, or rounds, than folds; or the classifier gives a logged pair probability 1,
            at which the weight is infinite. The true weight is finite, because what was logged has a propensity.
    """
    of_action = features_of_actions(action_features, target_all.shape[1])
    unit = torch.arange(len(log)) if log.user is None else log.user

    def odds(seen: Tensor, asked: Tensor) -> Tensor:
        context = None if log.context is None else log.context[seen]
        logged = pairs(context, log.action[seen], of_action)
        chosen = torch.cat(list(every_pair(context, len(seen), of_action)))
        weight = torch.cat([torch.ones(len(seen), dtype=torch.float64), target_all[seen].flatten().double()])
        label = np.repeat([0, 1], [len(logged), len(chosen)])
        classifier = make()
        told = weight > 0
        features = torch.cat([logged, chosen])[told].numpy()
        classifier.fit(features, label[told.numpy()], sample_weight=weight[told].numpy())
        context = None if log.context is None else log.context[asked]
        policy = classifier.predict_proba(pairs(context, log.action[asked], of_action).numpy())[:, 1]
        certain = int((policy >= 1).sum())
        if certain:
            raise RequestError(
                f"the classifier is certain (probability 1) that {certain} of {len(policy)} logged pairs of context and"
                " action come from the target policy, which makes their weights infinite: scale the context, or give a"
                " classifier with a stronger penalty"
            )
        return torch.from_numpy(policy / (1 - policy))

    return out_of_fold(folds(unit, count, torch.Generator().manual_seed(seed)), odds)
