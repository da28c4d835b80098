"""Importance weights learnt by classifying logged against target actions, without propensities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.logs.batches import LoggedActions
from recsys.replay.actions.cross_fitting import every_pair, features_of_actions, folds, out_of_fold, pairs


def logistic() -> Any:
    """Logistic regression of scikit-learn with its own regularisation, given enough steps."""
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
    """`[n]`, `c / (1 − c)` with `c(x, a)` the chance that a pair is the policy's: `BanditBatch.estimated_weight`.

    A classifier sees every logged pair once as "logged", and every context with every action as "policy", weighted by
    `π(a | x)`. The odds are `π(a | x) / p(a | x)` where the classifier is calibrated; `IPS(EstimatedWeights())` is
    then consistent, and biased otherwise, by as much as the classifier is. No weight is of a model that saw the round
    or its user. Needs memory for `n × A × (F + D)` numbers. Source: Sondhi, Arbour, Dimmery 2020, "Balanced off-policy
    evaluation in general action spaces".

    Args:
        log: the rounds; folds are of users where it has them.
        target_all: `π(· | x)`.
        make: a new classifier that takes `sample_weight` and gives `predict_proba`; logistic regression as it stands.
        action_features: `[A, D]`; one indicator an action where None.
        count: of folds.
        seed: of the folds.

    Raises:
        RequestError: fewer users, or rounds, than folds.
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
        return torch.from_numpy(policy / (1 - policy))

    return out_of_fold(folds(unit, count, torch.Generator().manual_seed(seed)), odds)
