"""What logs share that are read from a table."""

from __future__ import annotations

from functools import cached_property

import polars as pl

from recsys.data.raw_ids import RawIds


class LoggedTable:
    """A log whose rows lie in a table.

    Attributes:
        frame: the table, not yet read.
    """

    frame: pl.LazyFrame

    @property
    def columns(self) -> list[str]:
        """Of the table."""
        return self.frame.collect_schema().names()


class LoggedChoices(LoggedTable):
    """A log of single actions, one a round or several in an episode.

    Attributes:
        actions: what can be chosen, the rows being the indices: `action` (raw ids, rising) and any feature.
    """

    actions: pl.DataFrame

    @property
    def num_actions(self) -> int:
        """`A`."""
        return len(self.actions)

    @cached_property
    def ids(self) -> RawIds:
        """Of the actions."""
        return RawIds(self.actions["action"])


class LoggedUsers(LoggedTable):
    """A log whose rows may have users.

    Attributes:
        users: raw ids, rising; None where rows stand alone.
    """

    users: pl.Series | None

    @cached_property
    def user_ids(self) -> RawIds | None:
        """Of the users; None where rows stand alone."""
        return None if self.users is None else RawIds(self.users)
