"""What an action that is a number would earn in a context, by models that have not seen the round."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from recsys.replay.continuous_rounds import ContinuousRounds
from recsys.replay.folds import folds, out_of_fold


def cross_fitted_at(
    make: Callable[[], Any],
    context: Float[Tensor, "n F"] | None,
    rounds: ContinuousRounds,
    *,
    count: int = 5,
    seed: int = 0,
) -> Float[Tensor, "n 2"]:
    """`[n, 2]`, `q(x, a)` and `q(x, τ(x))` by a model that saw neither the round nor its user: `predicted_at`.

    Args:
        make: a new regression of scikit-learn; it reads context and action side by side, the action last.
        context: `[n, F]`, or None.
        rounds: the log; folds are of users where it has them.
        count: of folds.
        seed: of the folds.

    Raises:
        RequestError: fewer users, or rounds, than folds.
    """
    unit = torch.arange(len(rounds)) if rounds.user is None else rounds.user
    known = rounds.action.new_zeros(len(rounds), 0) if context is None else context.to(rounds.action)
    logged, judged = (torch.cat([known, one.unsqueeze(1)], 1).numpy() for one in (rounds.action, rounds.target))

    def answer(seen: Tensor, asked: Tensor) -> Tensor:
        model = make()
        model.fit(logged[seen.numpy()], rounds.reward[seen].numpy())
        predicted = [model.predict(features[asked.numpy()]) for features in (logged, judged)]
        return torch.from_numpy(np.stack(predicted, 1).astype(np.float64))

    return out_of_fold(folds(unit, count, torch.Generator().manual_seed(seed)), answer)
