"""Marginalised weights where what actions have in common is not a cluster but numbers, of which each value is rare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from recsys.data.logged_actions import LoggedActions
from recsys.replay.balanced import logistic
from recsys.replay.folds import folds, out_of_fold


def embedding_weights(
    log: LoggedActions,
    logging_all: Float[Tensor, "n A"],
    target_all: Float[Tensor, "n A"],
    embedding: Float[Tensor, "n D"],
    *,
    make: Callable[[], Any] = logistic,
    count: int = 5,
    seed: int = 0,
) -> Float[Tensor, " n"]:
    """`[n]`, `Σ_a p(a | x, e) π(a | x) / p(a | x)`, which is `p(e | x, π) / p(e | x, p)`: `Rounds.estimated_weight`.

    `p(a | x, e)`, which action it was given context and embedding, is learnt by a classifier that saw neither the round
    nor its user, and is 0 where `p(a | x)` is. `IPS(Estimated())` is then MIPS with estimated weights: it errs where
    the classifier does. Where `e` says which action it was, weights are plain, as they are for a round none of whose
    possible actions it saw. Source: Saito and Joachims 2022, "Off-policy evaluation for large action spaces via
    embeddings".

    Args:
        log: the rounds; folds are of users where it has them.
        logging_all: `p(· | x)`.
        target_all: `π(· | x)`.
        embedding: `e`, of what was shown; it may vary from round to round for one action.
        make: a new classifier with `predict_proba`; logistic regression as it stands.
        count: of folds.
        seed: of the folds.

    Raises:
        RequestError: fewer users, or rounds, than folds.
    """
    unit = torch.arange(len(log)) if log.user is None else log.user
    parts = [embedding.double()] if log.context is None else [log.context.double(), embedding.double()]
    features = torch.cat(parts, 1)
    ratio = torch.where(logging_all > 0, target_all / logging_all, 0.0)

    def mean_ratio(seen: Tensor, asked: Tensor) -> Tensor:
        classifier = make()
        classifier.fit(features[seen].numpy(), log.action[seen].numpy())
        given = torch.zeros(len(asked), logging_all.shape[1], dtype=torch.float64)
        given[:, classifier.classes_] = torch.from_numpy(classifier.predict_proba(features[asked].numpy())).double()
        given *= logging_all[asked] > 0
        known = given.sum(1)
        own = ratio[asked, log.action[asked]]
        return torch.where(known > 0, (given * ratio[asked]).sum(1) / known, own)

    return out_of_fold(folds(unit, count, torch.Generator().manual_seed(seed)), mean_ratio)
