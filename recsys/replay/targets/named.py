"""Policies to be judged, as a configuration names them: each is asked for its probabilities on a log."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from recsys.data.action_log import ActionLog
from recsys.data.episode_log import EpisodeLog
from recsys.data.feedback_source import FeedbackLog
from recsys.data.open_bandit import OpenBandit
from recsys.data.policy_table import read_policy_table
from recsys.data.slate_feedback import SlateFeedback
from recsys.data.slate_policy_table import read_slate_policy_table
from recsys.errors import RequestError
from recsys.policies.greedy import Uniform as UniformItems
from recsys.policies.policy import Policy
from recsys.replay.slates.laws import ArrivalTimes, LawOf
from recsys.replay.slates.table import TableBeside
from recsys.replay.slates.target import SlateTarget
from recsys.replay.targets.acting import Acting
from recsys.replay.targets.popularity import Popularity as PopularActions
from recsys.replay.targets.positions import PositionPolicy, average_policy
from recsys.replay.targets.uniform import Uniform as UniformActions
from recsys.train.checkpoint import Checkpoint


@dataclass(frozen=True)
class Uniform:
    """Any action, or any slate of different items, all alike."""

    def __call__(self, log: FeedbackLog) -> Any:
        """On any log."""
        if isinstance(log, SlateFeedback):
            return SlateTarget(UniformItems(log.num_items), ArrivalTimes(), num_items=log.num_items)
        return UniformActions(log.num_actions)


@dataclass(frozen=True)
class Popularity:
    """What earned most in the other half of the log, whoever asks.

    Attributes:
        made_of_log: it is another policy for each half, so that one half cannot choose it and the other report it.
    """

    made_of_log: ClassVar[bool] = True

    def __call__(self, log: FeedbackLog) -> PopularActions:
        """On a log of single actions.

        Raises:
            RequestError: it is one of slates or episodes.
        """
        if not isinstance(log, ActionLog):
            raise RequestError(f"{log.name}: the popularity policy is for logs of single actions")
        return PopularActions.of(log)


@dataclass(frozen=True)
class Table:
    """What a table `policy_table` says (docs/guide/tables.md).

    Args:
        path: of the table.
    """

    path: str | Path

    def __call__(self, log: FeedbackLog) -> Any:
        """On the log that the table is for; on one of episodes where its steps have a `request_id`."""
        if isinstance(log, SlateFeedback):
            return TableBeside(read_slate_policy_table(self.path, log))
        if isinstance(log, EpisodeLog):
            log = ActionLog(log.name, log.frame, log.actions, log.steps, log.fingerprint)
        return read_policy_table(self.path, log)


@dataclass(frozen=True)
class Acts:
    """A policy of the house, its items being those of the log.

    Args:
        policy: acts.
        law: how its distribution over slates is had; None where estimators need whole slates and prefixes only.
    """

    policy: Policy
    law: LawOf | None = None

    def __call__(self, log: FeedbackLog) -> Any:
        """On any log; on one of episodes a request is a step, without a history."""
        if isinstance(log, SlateFeedback):
            return SlateTarget(self.policy, self.law, num_items=log.num_items)
        return Acting(self.policy, log.num_actions)


@dataclass(frozen=True)
class OfRun:
    """What `recsys train` made.

    Args:
        run: a run folder.
        arm: the row of the run's table; None takes the arm that validates best.
    """

    run: str
    arm: str | None = None

    def __call__(self, log: FeedbackLog) -> Any:
        """On a log of items that the run knows by their raw ids."""
        ids = log.items["item_id"] if isinstance(log, SlateFeedback) else log.actions["action"]
        return Acts(Checkpoint.from_run(self.run, ids.to_list(), self.arm))(log)


@dataclass(frozen=True)
class BernoulliThompson:
    """The policy that learnt while it wrote the Open Bandit Dataset, on average: `average_policy` of its own log.

    Args:
        campaign: of the log.
        root: folder for raw data.
    """

    campaign: str = "all"
    root: str | Path = "data/raw/open_bandit"

    def __call__(self, log: FeedbackLog) -> PositionPolicy:
        """On another log of the same campaign."""
        own = OpenBandit("bts", self.campaign, self.root).log()
        return PositionPolicy("bernoulli_ts", average_policy(own))
