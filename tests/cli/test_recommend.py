from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from recsys.cli.main import main
from recsys.cli.recommend import Recommendation, known_users, recommend
from recsys.errors import RequestError
from recsys.runs.recommender import ServedSession


class Alphabet:
    """Recommends letters, each half as probable as the one before."""

    def __init__(self, row: str = "best [of] all") -> None:
        self.row = row
        self.slots: int | None = None
        self.reward: object = None

    def recommend(self, user_id: int | str, k: int) -> list[tuple[int, str, float]]:
        return [(place, f"{'ABCD'[place]} for {user_id}", 0.5 ** (place + 1)) for place in range(min(k, 4))]

    def sessions(self, user_ids: Sequence[int | str], slots: int | None, best_of: int | None) -> list[ServedSession]:
        """As many letters as slots; user 7 may get two at most."""
        count = slots or self.slots or 0
        items = [self.recommend(user, 2 if user == 7 else count) for user in user_ids]
        heads = {} if self.reward is None else {"click": 0.25}
        chosen = {} if best_of is None else {"reward": 1.5, "sampled": best_of, "distinct": 3, "divergence": 0.64}
        return [ServedSession(one, -2.5, heads, **chosen) for one in items]


@dataclass
class FakeDataset:
    users: pl.DataFrame


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run folder whose policy is `Alphabet`."""
    (folder / "done").mkdir()
    (folder / "done/config.yaml").write_text("name: x\n")
    module = ModuleType("recsys.runs.trained_policy")
    dataset = FakeDataset(pl.DataFrame({"user_id": [7, 196]}))
    module.load_policy = lambda run, row: (Alphabet(row or "best [of] all"), dataset)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "recsys.runs.trained_policy", module)
    return "done"


@pytest.fixture
def sessions(run: str) -> Alphabet:
    """The policy of the same folder as of a run of sessions with a reward model."""
    policy = Alphabet()
    policy.slots, policy.reward = 3, "learned"
    dataset = FakeDataset(pl.DataFrame({"user_id": [7, 196]}))
    sys.modules["recsys.runs.trained_policy"].load_policy = lambda run, row: (policy, dataset)  # type: ignore[attr-defined]
    return policy


def test_titles_and_probabilities_are_shown(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", f"run={run}", "user=196", "k=2"]) == 0
    shown = capsys.readouterr().out
    assert "user 196, answered by best [of] all" in shown
    assert "A for 196" in shown
    assert "0.2500" in shown
    assert "C for 196" not in shown


def test_several_users_get_a_table_each(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", f"run={run}", "user=[7,196]"]) == 0
    shown = capsys.readouterr().out
    assert shown.index("user 7") < shown.index("user 196")


def test_from_python(run: str) -> None:
    assert recommend(run, 7, k=1) == [Recommendation(7, 0, "A for 7", 0.5, "best [of] all")]
    assert recommend(run, 7, k=1, row="mixture")[0].row == "mixture"
    assert len(recommend(run, [7, 196])) == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["user=8"], "user: 8 not among the 2 users of the run (such as 7, 196)"),
        (["user=x"], "user: x not among the 2 users"),
        (["user=7", "k=0"], "k: expected at least 1, found 0"),
        (["user=7", "k=x"], "k: expected int | None, found 'x' (str)"),
        (["user=7", "slots=2"], "slots=2: done ranks single items and does not answer with sessions"),
        (["user=7", "best_of=8"], "best_of=8: done ranks single items and does not answer with sessions"),
        (["user=7", "slots=0"], "slots: expected at least 1, found 0"),
        (["user=7", "best_of=-3"], "best_of: expected at least 1, found -3"),
        ([], "user: must be given"),
        (["user=7", "run=nowhere"], "run: nowhere/config.yaml is not there"),
        (["usr=7"], "usr: there is no such key; did you mean 'user'?"),
    ],
)
def test_a_wrong_request_is_one_message(
    run: str, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    given = arguments if any(one.startswith("run=") for one in arguments) else [f"run={run}", *arguments]
    assert main(["recommend", *given]) == 2
    assert capsys.readouterr().err.startswith(f"recsys recommend: {message}")


def test_a_run_of_sessions_answers_with_one_of_its_own_length(
    run: str, sessions: Alphabet, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["recommend", f"run={run}", "user=[196,7]"]) == 0
    shown = capsys.readouterr().out
    assert "slot" in shown and "C for 196" in shown and "D for 196" not in shown
    assert "B for 7" in shown and "C for 7" not in shown
    assert "log-probability −2.50, click 0.250" in shown and "best of" not in shown
    assert main(["recommend", f"run={run}", "user=196", "slots=4", "best_of=4"]) == 0
    shown = capsys.readouterr().out
    assert "D for 196" in shown
    told = "best of 4 samples, 3 different, divergence from the policy at most 0.64, reward 1.50"
    assert told in " ".join(shown.split())


def test_a_session_from_python(run: str, sessions: Alphabet) -> None:
    found = recommend(run, [196, 7], best_of=4)
    assert [(one.user_id, one.item_id) for one in found] == [(196, 0), (196, 1), (196, 2), (7, 0), (7, 1)]
    first = found[0].session
    assert isinstance(first, ServedSession) and first.sampled == 4 and found[2].session is first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["k=3"], "k=3: done answers with one session of 3 items a user; leave k out, and set slots"),
        (["best_of=0"], "best_of: expected at least 1, found 0"),
        (["slots=x"], "slots: expected int | None, found 'x' (str)"),
        (["user=8"], "user: 8 not among the 2 users of the run"),
    ],
)
def test_a_wrong_request_for_a_session_is_one_message(
    run: str, sessions: Alphabet, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    user = [] if arguments[0].startswith("user") else ["user=7"]
    assert main(["recommend", f"run={run}", *user, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"recsys recommend: {message}")


def test_the_best_of_several_needs_a_reward_model(run: str, sessions: Alphabet) -> None:
    sessions.reward = None
    assert len(recommend(run, 196)) == 3
    with pytest.raises(RequestError, match="best_of=4: done has no reward model to choose by"):
        recommend(run, 196, best_of=4)


def test_ids_are_read_as_the_data_has_them() -> None:
    assert known_users(["7", 196], pl.Series([7, 196])) == [7, 196]
    assert known_users([7, "A1"], pl.Series(["A1", "7"])) == ["7", "A1"]
    with pytest.raises(RequestError, match="8, B2 not among"):
        known_users([8, "B2", 7], pl.Series(["A1", "7"]))
    for other in ("007", "--7", "²", "٧", "+7"):
        with pytest.raises(RequestError, match="not among"):
            known_users([other], pl.Series([7, 196]))
