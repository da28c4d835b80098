"""Logged rounds and a policy to be judged, brought together."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from recsys.data.logged_actions import LoggedActions
from recsys.errors import RequestError
from recsys.replay.rounds import Rounds
from recsys.replay.targets.target import FullTarget, Target


def judge(
    logged: LoggedActions,
    target: Target,
    logging: FullTarget | None = None,
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
        RequestError: the log has no propensities, or every action's probability is needed and not known.
    """
    if logged.propensity is None:
        raise RequestError("the log has no propensities: estimate them first (log.propensities=estimated)")
    whole = predicted is not None or logging is not None
    if whole and not isinstance(target, FullTarget):
        raise RequestError("the policy to be judged knows the logged actions' probabilities only; this needs all")
    return Rounds(
        action=logged.action,
        reward=logged.reward.double(),
        logging=logged.propensity.double(),
        target=target.probability(logged),
        user=logged.user,
        logging_all=None if logging is None else logging.distribution(logged),
        target_all=target.distribution(logged) if whole and isinstance(target, FullTarget) else None,
        predicted_all=None if predicted is None else predicted.double(),
    )
