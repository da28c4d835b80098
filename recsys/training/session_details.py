"""What an evaluation of sessions keeps beside its figures: how good reward models are, and a few users' sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.data.datasets.prepare_slates import PreparedSlates
from recsys.metrics.calibration import reliability
from recsys.metrics.discrimination import concordance
from recsys.models.rewards.session import SessionRewardModel
from recsys.rewards.labels import Label
from recsys.types.example import Example

MODELS = "reward_models"
"""Name of the file with discrimination and calibration of the reward models."""

DISAGREEMENTS = "disagreements"
"""Name of the file with the rows about which the judge and the users disagree."""

SESSIONS = "sessions"
"""Name of the file with the sessions of a few users."""


def quality_of(model: SessionRewardModel, labels: Mapping[str, Label], batches: Sequence[Example]) -> dict[str, Any]:
    """Return, for each head, how well it orders and predicts what happened in logged sessions.

    `auc` is NaN where all sessions have the same label.

    Args:
        model: a reward model.
        labels: of its heads, by name.
        batches: requests with their logged sessions, at least one.
    """
    predicted = torch.cat([model(batch.context, batch.slates.items)[:, 0].sigmoid() for batch in batches])
    quality: dict[str, Any] = {}
    for at, head in enumerate(model.heads):
        happened = torch.cat([labels[head](batch) for batch in batches])
        curve = reliability(predicted[:, at], happened)
        quality[head] = {
            "auc": concordance(predicted[:, at], happened),
            "calibration_error": curve.error,
            "mean_predicted": float(predicted[:, at].mean()),
            "mean_observed": float(happened.mean()),
            "curve": {name: value.tolist() for name, value in vars(curve).items()},
        }
    return quality


def shown_sessions(
    data: PreparedSlates, asked: Example, answers: Mapping[str, Int[Tensor, "B S"]], channel: str, users: int
) -> list[dict[str, Any]]:
    """Return a session of each of the first users, as item indices: history, logged, engaged, and those of every row.

    Args:
        data: what the requests come from.
        asked: the requests.
        answers: the session that each row serves.
        channel: of the feedback; an item is engaged if its value is above 0.
        users: how many, at most.
    """
    sessions = []
    first = dict(zip(reversed(asked.context.users.tolist()), reversed(range(len(asked))), strict=True))
    for row in sorted(first.values())[:users]:
        context = asked.context.select(torch.tensor([row])).recent(10)
        logged = asked.slates.items[row, 0]
        sessions.append(
            {
                "user_id": data.log.users["user_id"][int(asked.context.users[row])],
                "history": context.history.values.tolist(),
                "logged": logged.tolist(),
                "engaged": logged[asked.feedback[channel][row, 0] > 0].tolist(),
                "answers": {name: items[row].tolist() for name, items in answers.items()},
            }
        )
    return sessions
