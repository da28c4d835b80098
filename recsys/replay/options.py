"""How logs are replayed, beside which policies, by which estimators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys.errors import ConfigurationError
from recsys.replay.episodes.fitted_values import FittedValues
from recsys.replay.interval import ClosedForm, IntervalOf
from recsys.replay.reward_model import RewardModel
from recsys.replay.slates.fitted_tails import FittedTails
from recsys.replay.trust import Limits

Beside = Callable[[Any], Any]
"""A batch of a log → the same beside a policy, as estimators read it."""

Policy = Callable[[Any], Any]
"""A log → a `Target` where it is of single actions, else a `Target` of its steps or a `Beside`."""


@dataclass(frozen=True)
class ReplayOptions:
    """How a log is read and what is said of it.

    Args:
        interval: around each estimate.
        confidence: of the intervals, in (0, 1).
        limits: when a log does not answer.
        model: learns what actions, slots or steps earn, for estimators that need it; the log is then read into memory.
            None for none.
        logging: the policies that wrote the logs, by the logs' names, where more is needed than the log says of them.
        half: 0 or 1, the half of the users (rounds, where there are none) that is read; None for all.
        seed: of the folds that models are fitted in.

    Raises:
        ConfigurationError: `confidence` or `half` is something else.
    """

    interval: IntervalOf = field(default_factory=ClosedForm)
    confidence: float = 0.95
    limits: Limits = field(default_factory=Limits)
    model: RewardModel | FittedTails | FittedValues | None = None
    logging: Mapping[str, Policy] | None = None
    half: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ConfigurationError(f"confidence={self.confidence}: expected a number between 0 and 1, such as 0.95")
        if self.half not in (None, 0, 1):
            raise ConfigurationError(f"half={self.half}: expected 0, 1 or None")
