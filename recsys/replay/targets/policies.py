"""Target policies as a configuration names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from recsys.data.logs.actions import ActionLog
from recsys.data.logs.episodes import EpisodeLog
from recsys.data.logs.feedback_source import FeedbackLog
from recsys.data.logs.policy_table import read_policy_table
from recsys.data.logs.slate_policy_table import read_slate_policy_table
from recsys.data.logs.slates import SlateFeedbackLog
from recsys.data.sources.open_bandit import OpenBandit
from recsys.errors import RequestError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.policies.policy import Policy
from recsys.replay.slates.distribution_methods import PlackettLuceMarginals, SlateDistributionMethod
from recsys.replay.slates.target import SlateTableTarget, SlateTarget
from recsys.replay.targets.actions import PolicyAdapter, PopularActions, UniformActions
from recsys.replay.targets.open_bandit import PositionPolicy, average_policy
from recsys.runs.trained_policy import RemappedPolicy


@dataclass(frozen=True)
class UniformTarget:
    """Take every action, or every slate of different items, with equal probability."""

    def __call__(self, log: FeedbackLog) -> Any:
        """Return the policy for any log."""
        if isinstance(log, SlateFeedbackLog):
            return SlateTarget(UniformPolicy(log.num_items), PlackettLuceMarginals(), num_items=log.num_items)
        return UniformActions(log.num_actions)


@dataclass(frozen=True)
class PopularityTarget:
    """Take actions in proportion to their rewards in the other half of the log; see `PopularActions`.

    Attributes:
        made_of_log: True: each half has another policy, so that one half cannot select it and the other report it.
    """

    made_of_log: ClassVar[bool] = True

    def __call__(self, log: FeedbackLog) -> PopularActions:
        """Return the policy for a log of single actions.

        Raises:
            RequestError: the log is of slates or episodes.
        """
        if not isinstance(log, ActionLog):
            raise RequestError(f"{log.name}: the popularity policy is for logs of single actions")
        return PopularActions.of(log)


@dataclass(frozen=True)
class TableTarget:
    """Take the probabilities of a table `policy_table` (docs/guide/tables.md).

    Args:
        path: path of the table.
    """

    path: str | Path

    def __call__(self, log: FeedbackLog) -> Any:
        """Return the policy for the log that the table is for; steps of episodes need a `request_id`."""
        if isinstance(log, SlateFeedbackLog):
            return SlateTableTarget(read_slate_policy_table(self.path, log))
        if isinstance(log, EpisodeLog):
            log = ActionLog(log.name, log.frame, log.actions, log.steps, log.fingerprint)
        return read_policy_table(self.path, log)


@dataclass(frozen=True)
class FromPolicy:
    """Ask a policy of this package; its items are those of the log, in the order of their ids.

    Args:
        policy: the policy.
        distribution: way to obtain its distribution over slates; None for estimators of whole slates or prefixes.
    """

    policy: Policy
    distribution: SlateDistributionMethod | None = None

    def __call__(self, log: FeedbackLog) -> Any:
        """Return the target for any log; the requests of a log of episodes are steps without history."""
        if isinstance(log, SlateFeedbackLog):
            return SlateTarget(self.policy, self.distribution, num_items=log.num_items)
        return PolicyAdapter(self.policy, log.num_actions)


@dataclass(frozen=True)
class TrainedPolicy:
    """Ask a policy that `recsys train` trained.

    Args:
        run: the run folder.
        training: row of the run's table; None takes the one that validates best.
    """

    run: str
    training: str | None = None

    def __call__(self, log: FeedbackLog) -> Any:
        """Return the target for a log whose items the run knows by their raw ids."""
        ids = log.items["item_id"] if isinstance(log, SlateFeedbackLog) else log.actions["action"]
        return FromPolicy(RemappedPolicy.from_run(self.run, ids.to_list(), self.training))(log)


@dataclass(frozen=True)
class BernoulliThompsonTarget:
    """The average of the policy that learnt while it wrote the Open Bandit Dataset; see `average_policy`.

    Args:
        campaign: campaign of the log.
        root: folder of the raw data.
    """

    campaign: str = "all"
    root: str | Path = "data/raw/open_bandit"

    def __call__(self, log: FeedbackLog) -> PositionPolicy:
        """Return the policy for another log of the same campaign."""
        own = OpenBandit("bts", self.campaign, self.root).log()
        return PositionPolicy("bernoulli_ts", average_policy(own))
