"""`recsys recommend`: what a trained policy recommends to users."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import polars as pl
from omegaconf import DictConfig, OmegaConf

from recsys.cli.app import application
from recsys.config.signature import check_call
from recsys.data.tables.text import INTEGER
from recsys.errors import RequestError
from recsys.report.console import Column, ConsoleTable, show_table
from recsys.report.formats import number
from recsys.runs.run_folder import RunFolder
from recsys.stored import Trusted, trusting

UserId = int | str


@runtime_checkable
class Recommender(Protocol):
    """What `recsys.runs.trained_policy.load_policy` gives: a policy that answers in raw ids.

    Attributes:
        row: the row of the run's table that it is.
    """

    row: str

    def recommend(self, user_id: UserId, k: int) -> list[tuple[Any, str, float]]:
        """Return the k most probable items of the user's legal set: raw id, title, probability."""
        ...


@dataclass(frozen=True)
class Recommendation:
    """One recommended item.

    Args:
        user_id: raw id.
        item_id: raw id.
        title: the item table's, or the raw id where it has none.
        probability: under the policy, among the items that the user may get, in [0, 1].
        row: the row of the run's table that answered.
    """

    user_id: UserId
    item_id: UserId
    title: str
    probability: float
    row: str = ""


def main(arguments: Sequence[str]) -> None:
    """Run the command: one table a user."""
    application("recommend", show, arguments)


def show(config: DictConfig) -> None:
    """Print what `recommend` answers."""
    check_call(config, recommend)
    answer = recommend(**OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    for user in dict.fromkeys(one.user_id for one in answer):
        rows = [one for one in answer if one.user_id == user]
        answered = enumerate(rows, start=1)
        cells = [[str(place), str(one.item_id), one.title, number(one.probability)] for place, one in answered]
        columns = [Column(""), Column("item_id", words=True), Column("title", words=True), Column("probability")]
        show_table(ConsoleTable(columns, cells, f"user {user}, answered by {rows[0].row}", lines="all"))


def recommend(
    run: str, user: UserId | list[UserId], k: int = 10, row: str | None = None, modules: Sequence[str] = ()
) -> list[Recommendation]:
    """Return the k most probable items of each user, best first, under a policy of a run's table.

    Args:
        run: a folder that `recsys train` left.
        user: raw id of a user whose history the run has seen, or several.
        k: items a user, at least 1; fewer come back where the catalogue has no more that the user may get.
        row: of the run's table, a baseline, a training or `mixture`; None takes the one with the highest NDCG@10 on the
            validation requests.
        modules: beside this package, whose classes and functions the run may name.

    Raises:
        RequestError: no such folder, user, row, or number of items.
    """
    if k < 1:
        raise RequestError(f"k: expected at least 1, found {k}")
    folder = RunFolder(Path(run))
    if not folder.config.exists():
        raise RequestError(f"run: {folder.config} is not there; give a folder that `recsys train` left")
    from recsys.runs.trained_policy import load_policy

    with trusting(Trusted(modules=frozenset(modules))):
        policy, dataset = load_policy(folder, row)
    users = known_users(user if isinstance(user, list) else [user], dataset.users["user_id"])
    return [Recommendation(one, *item, row=policy.row) for one in users for item in policy.recommend(one, k)]


def known_users(users: list[UserId], known: pl.Series) -> list[UserId]:
    """Return the ids in the data's own type: a number typed on the command line may be text there.

    >>> known_users([196], pl.Series(["7", "196"]))
    ['196']

    Raises:
        RequestError: a user that the data does not have.
    """
    kind: Any = known.dtype.to_python()
    there = set(known.to_list())
    raw = [kind(one) if re.fullmatch(INTEGER, str(one)) else one for one in users]
    if strange := [str(one) for one in raw if one not in there]:
        some = ", ".join(map(str, known.head(5).to_list()))
        raise RequestError(f"user: {', '.join(strange)} not among the {len(known)} users of the run (such as {some})")
    return raw
