"""Where logged feedback comes from: anything that can name its log."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from recsys.data.action_log import ActionLog
from recsys.data.episode_log import EpisodeLog
from recsys.data.slate_feedback import SlateFeedback

FeedbackLog = ActionLog | SlateFeedback | EpisodeLog
"""What can be replayed."""


@runtime_checkable
class FeedbackSource(Protocol):
    """Something that has logged feedback: a public data set, another system's files or one's own tables."""

    def log(self) -> FeedbackLog:
        """The log, checked.

        Raises:
            DataError: it is missing, or some row is at fault and the source was not told to leave such rows out.
        """
        ...
