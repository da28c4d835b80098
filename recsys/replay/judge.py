"""Logged rounds and a policy to be judged, brought together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from recsys.data.logged_actions import LoggedActions
from recsys.errors import RequestError
from recsys.replay.rounds import Rounds
from recsys.replay.targets.target import Target


def judge(
    logged: LoggedActions,
    target: Target,
    logging: Target | None = None,
    later: Mapping[str, Callable[[], Tensor]] | None = None,
) -> Rounds:
    """What single-action estimators read.

    Every action's probabilities are asked for when an estimator needs them: most only weigh, a table may know the
    logged actions alone, and a catalogue may be large.

    Args:
        logged: with propensities.
        target: the policy to be judged.
        logging: the logging policy, where it is known beyond the logged actions.
        later: further parts of `Rounds`, made when they are needed.

    Raises:
        RequestError: the log has no propensities.

    >>> import torch
    >>> from recsys.replay.targets.uniform import Uniform
    >>> logged = LoggedActions(torch.tensor([0]), torch.tensor([2]), torch.tensor([1.0]), torch.tensor([0.5]))
    >>> rounds = judge(logged, Uniform(4))
    >>> rounds.weight, rounds.need("target_all")
    (tensor([0.5000], dtype=torch.float64), tensor([[0.2500, 0.2500, 0.2500, 0.2500]], dtype=torch.float64))
    """
    if logged.propensity is None:
        raise RequestError("the log has no propensities: estimate them (log.propensities=estimated)")
    probabilities = {"target_all": lambda: target.target_all(logged)}
    if logging is not None:
        probabilities["logging_all"] = lambda: logging.target_all(logged)
    return Rounds(
        action=logged.action,
        reward=logged.reward.double(),
        logging=logged.propensity.double(),
        target=target.target(logged),
        user=logged.user,
        logger=logged.logger,
        later={**probabilities, **(later or {})},
    )
