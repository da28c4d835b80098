"""Options of a replay: interval, confidence, overlap limits, reward model and logging policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys.errors import ConfigurationError
from recsys.replay.actions.reward_model import RewardModel
from recsys.replay.diagnostics.overlap import OverlapLimits
from recsys.replay.episodes.fitted_models import FittedValues
from recsys.replay.intervals.methods import ClosedForm, IntervalMethod
from recsys.replay.slates.fitted_models import RewardToGoModel

Join = Callable[[Any], Any]
"""A batch of a log → the same joined with a policy, as estimators read it."""

TargetFactory = Callable[[Any], Any]
"""A log → a `TargetPolicy` where it is of single actions, else a `TargetPolicy` of its steps or a `Join`."""


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

    interval: IntervalMethod = field(default_factory=ClosedForm)
    confidence: float = 0.95
    limits: OverlapLimits = field(default_factory=OverlapLimits)
    model: RewardModel | RewardToGoModel | FittedValues | None = None
    logging: Mapping[str, TargetFactory] | None = None
    half: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ConfigurationError(f"confidence={self.confidence}: expected a number between 0 and 1, such as 0.95")
        if self.half not in (None, 0, 1):
            raise ConfigurationError(f"half={self.half}: expected 0, 1 or None")
