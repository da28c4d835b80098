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


K = 10
"""Items a user, where answers are lists of single items and none is asked for."""


@runtime_checkable
class Session(Protocol):
    """What a user is answered with by a run of sessions (`recsys.runs.recommender.ServedSession`)."""

    @property
    def items(self) -> Sequence[tuple[Any, str, float]]:
        """Raw id, title and probability of each slot."""
        ...

    def describe(self) -> str:
        """Describe probability, reward and candidates in one line of text."""
        ...


@runtime_checkable
class Recommender(Protocol):
    """What `recsys.runs.trained_policy.load_policy` gives: a policy that answers in raw ids."""

    @property
    def row(self) -> str:
        """The row of the run's table that it is."""
        ...

    @property
    def slots(self) -> int | None:
        """Items of a session; None where answers are lists of single items."""
        ...

    @property
    def reward(self) -> Any:
        """The reward that chooses the best of several sessions; None where there is none."""
        ...

    def recommend(self, user_id: UserId, k: int) -> list[tuple[Any, str, float]]:
        """Return the k most probable items of the user's legal set: raw id, title, probability."""
        ...

    def sessions(self, user_ids: Sequence[UserId], slots: int | None, best_of: int | None) -> Sequence[Session]:
        """Return a session for each user, of so many samples the one that the reward likes best."""
        ...


@dataclass(frozen=True)
class Recommendation:
    """One recommended item.

    Args:
        user_id: raw id.
        item_id: raw id.
        title: the item table's, or the raw id where it has none.
        probability: under the policy, among the items that the user may get, in [0, 1]; in a session, given the items
            of the earlier slots.
        row: the row of the run's table that answered.
        session: the session whose slots hold this item and its neighbours, in order; None where items are ranked.
    """

    user_id: UserId
    item_id: UserId
    title: str
    probability: float
    row: str = ""
    session: Session | None = None


def main(arguments: Sequence[str]) -> None:
    """Run the command: one table a user."""
    application("recommend", show, arguments)


def show(config: DictConfig) -> None:
    """Print what `recommend` answers."""
    check_call(config, recommend)
    answer = recommend(**OmegaConf.to_container(config, resolve=True))  # type: ignore[arg-type]
    for user in dict.fromkeys(one.user_id for one in answer):
        rows = [one for one in answer if one.user_id == user]
        session = rows[0].session
        answered = enumerate(rows, start=1)
        cells = [[str(place), str(one.item_id), one.title, number(one.probability)] for place, one in answered]
        first = Column("" if session is None else "slot")
        columns = [first, Column("item_id", words=True), Column("title", words=True), Column("probability")]
        title, caption = f"user {user}, answered by {rows[0].row}", "" if session is None else session.describe()
        show_table(ConsoleTable(columns, cells, title, caption, lines="all"))


def recommend(
    run: str,
    user: UserId | list[UserId],
    k: int | None = None,
    row: str | None = None,
    modules: Sequence[str] = (),
    slots: int | None = None,
    best_of: int | None = None,
) -> list[Recommendation]:
    """Return what each user is recommended under a policy of a run's table: the best items, or a session.

    A run that ranks single items answers with the `k` most probable ones, best first. A run of sessions answers with
    one session, slot after slot.

    Args:
        run: a folder that `recsys train` left.
        user: raw id of a user whose history the run has seen, or several.
        k: of a run that ranks single items, items a user, at least 1; fewer come back where the catalogue has no more
            that the user may get. None means 10.
        row: of the run's table, a baseline, a training or `mixture`; None takes the one that validates best: with the
            highest NDCG on the validation requests.
        modules: beside this package, whose classes and functions the run may name.
        slots: of a run of sessions, items of a session, at least 1; None means as many as it was trained on.
        best_of: of a run of sessions with a reward model, the number of samples, at least 1, from which the reward
            model chooses; None means the most probable session that a search finds.

    Raises:
        RequestError: no such folder, user, row, or number of items; or an argument that the run has no use for.
    """
    for name, value in {"k": k, "slots": slots, "best_of": best_of}.items():
        if value is not None and value < 1:
            raise RequestError(f"{name}: expected at least 1, found {value}")
    folder = RunFolder(Path(run))
    if not folder.config.exists():
        raise RequestError(f"run: {folder.config} is not there; give a folder that `recsys train` left")
    from recsys.runs.trained_policy import load_policy

    with trusting(Trusted(modules=frozenset(modules))):
        policy, dataset = load_policy(folder, row)
    _check_use(policy, run, k, slots, best_of)
    users = known_users(user if isinstance(user, list) else [user], dataset.users["user_id"])
    if policy.slots is None:
        return [Recommendation(one, *item, row=policy.row) for one in users for item in policy.recommend(one, k or K)]
    sessions = policy.sessions(users, slots, best_of)
    return [
        Recommendation(one, *item, row=policy.row, session=session)
        for one, session in zip(users, sessions, strict=True)
        for item in session.items
    ]


def _check_use(policy: Recommender, run: str, k: int | None, slots: int | None, best_of: int | None) -> None:
    """Refuse numbers that the answers of a run have no use for."""
    if policy.slots is None:
        for name, value in {"slots": slots, "best_of": best_of}.items():
            if value is not None:
                raise RequestError(
                    f"{name}={value}: {run} ranks single items and does not answer with sessions; leave {name} out, "
                    "and set k for the number of items"
                )
    elif k is not None:
        raise RequestError(
            f"k={k}: {run} answers with one session of {policy.slots} items a user; leave k out, and set slots for "
            "another number of items"
        )
    elif best_of is not None and policy.reward is None:
        raise RequestError(
            f"best_of={best_of}: {run} has no reward model to choose by, or its catalogue has grown since; leave "
            "best_of out"
        )


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
