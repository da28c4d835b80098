"""Logged rounds and a policy to be judged, brought together."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsys.data.logged_actions import LoggedActions
from recsys.errors import RequestError
from recsys.replay.rounds import Rounds
from recsys.replay.targets.target import Target


def judge(
    logged: LoggedActions,
    target: Target,
    logging: Target | None = None,
    predicted: Float[Tensor, "n A"] | None = None,
) -> Rounds:
    """What single-action estimators read.

    Every action's probabilities are asked for only where a reward model or the logging policy is given, since only
    estimators that use those need them.

    Args:
        logged: with propensities.
        target: the policy to be judged.
        logging: the logging policy, where it is known beyond the logged actions.
        predicted: a reward model's, of every action.

    Raises:
        RequestError: the log has no propensities, or the policy does not know what is asked.
    """
    if logged.propensity is None:
        raise RequestError("the log has no propensities: estimate them (log.propensities=estimated)")
    whole = predicted is not None or logging is not None
    return Rounds(
        action=logged.action,
        reward=logged.reward.double(),
        logging=logged.propensity.double(),
        target=target.target(logged),
        user=logged.user,
        logging_all=None if logging is None else logging.target_all(logged),
        target_all=target.target_all(logged) if whole else None,
        predicted_all=None if predicted is None else predicted.double(),
    )
