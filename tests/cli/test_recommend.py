from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from recsys.cli.main import main
from recsys.cli.recommend import Recommendation, known_users, recommend
from recsys.errors import RequestError


class Alphabet:
    """Recommends letters, each half as probable as the one before."""

    def __init__(self, row: str = "best [of] all") -> None:
        self.row = row

    def recommend(self, user_id: int | str, k: int) -> list[tuple[int, str, float]]:
        return [(place, f"{'ABCD'[place]} for {user_id}", 0.5 ** (place + 1)) for place in range(min(k, 4))]


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
        (["user=7", "k=x"], "k: expected int, found 'x' (str)"),
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


def test_ids_are_read_as_the_data_has_them() -> None:
    assert known_users(["7", 196], pl.Series([7, 196])) == [7, 196]
    assert known_users([7, "A1"], pl.Series(["A1", "7"])) == ["7", "A1"]
    with pytest.raises(RequestError, match="8, B2 not among"):
        known_users([8, "B2", 7], pl.Series(["A1", "7"]))
    for other in ("007", "--7", "²", "٧", "+7"):
        with pytest.raises(RequestError, match="not among"):
            known_users([other], pl.Series([7, 196]))
