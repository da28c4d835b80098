"""Options of a replay: interval, confidence, overlap limits, models and logging policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recsys.errors import ConfigurationError
from recsys.ranges import between
from recsys.replay.actions.reward_model import RewardModel
from recsys.replay.diagnostics.overlap import OverlapLimits
from recsys.replay.episodes.fitted_models import FittedValues
from recsys.replay.intervals.methods import ClosedForm, IntervalMethod
from recsys.replay.slates.fitted_models import RewardToGoModel

Join = Callable[[Any], Any]
"""A function from a batch of a log to the same batch joined with a target policy, as estimators read it."""

TargetFactory = Callable[[Any], Any]
"""A function from a log to a target policy: a `TargetPolicy` of its actions or steps, or a `Join`."""


@dataclass(frozen=True)
class ReplayOptions:
    """The options of `recsys.replay.evaluate`: how a log is read and how certain its estimates must be.

    Args:
        interval: method of the confidence intervals, such as `ClosedForm()` (delta method) or
            `BootstrapPercentile(Bootstrap())`.
        confidence: level of the intervals, in (0, 1).
        limits: smallest effective sample size and largest share of missing support without a warning.
        model: model of rewards or values for the estimators that need one, fitted to the log in memory: `ActionMeans()`
            or `RewardRegression(…)` for single actions, `RewardToGoModel()` for slates, `FittedValues(…)` for episodes;
            None for none.
        logging: target factories of the policies that wrote the logs, by the names of the logs, for estimators that
            need more of the logging policy than the log says.
        half: 0 or 1 to read one half of the users (of the rounds, if there are no users); None to read all.
        seed: seed of the cross-fitting folds.

    Raises:
        ConfigurationError: `confidence` is outside (0, 1), or `half` is not 0, 1 or None.
    """

    interval: IntervalMethod = field(default_factory=ClosedForm)
    confidence: float = 0.95
    limits: OverlapLimits = field(default_factory=OverlapLimits)
    model: RewardModel | RewardToGoModel | FittedValues | None = None
    logging: Mapping[str, TargetFactory] | None = None
    half: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        between(0, 1, confidence=self.confidence)
        if self.half not in (None, 0, 1):
            raise ConfigurationError(f"half={self.half}: expected 0, 1 or None")
