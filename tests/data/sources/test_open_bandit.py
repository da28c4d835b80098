from __future__ import annotations

from pathlib import Path

import pytest

from recsys.data.logs.feedback_source import FeedbackSource
from recsys.data.sources import open_bandit
from recsys.data.sources.open_bandit import OpenBandit
from recsys.data.tables.download import Package
from recsys.errors import ConfigurationError, DataError

HEADER = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user-item_affinity_0\n"
ROWS = [
    "0,2019-11-24 00:00:17+00:00,2,1,0,0.5,x,p,0.0\n",
    "1,2019-11-24 00:00:18+00:00,0,3,1,0.25,y,p,0.0\n",
    "2,2019-11-24 00:00:19+00:00,2,1,0,0.5,x,p,0.0\n",
    "3,2019-11-24 00:00:20+00:00,1,1,0,0.5,x,p,0.0\n",
    "4,2019-11-24 00:00:21+00:00,1,2,0,0.5,x,p,0.0\n",
]
ITEMS = ",item_id,item_feature_0,item_feature_1\n0,0,-0.5,q\n1,1,0.5,r\n2,2,0.25,q\n"


def write(root: Path, policy: str = "random", rows: list[str] = ROWS) -> Path:
    folder = root / policy / "men"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "men.csv").write_text(HEADER + "".join(rows))
    (folder / "item_context.csv").write_text(ITEMS)
    return root


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_bandit, "fetch_package", lambda *_: pytest.fail("fetched although the files are there"))


@pytest.mark.usefixtures("offline")
def test_a_round_is_one_position_of_one_impression(tmp_path: Path) -> None:
    source = OpenBandit(campaign="men", root=write(tmp_path))
    assert isinstance(source, FeedbackSource)
    log = source.log()
    assert (log.name, len(log), log.num_actions) == ("open_bandit_men_random", 5, 3)
    assert log.actions["item_feature_1"].to_list() == ["q", "r", "q"]
    assert log.context_names == (
        "position=1",
        "position=2",
        "position=3",
        "user_feature_0=x",
        "user_feature_0=y",
        "user_feature_1=p",
    )
    [batch] = log.batches()
    assert batch.action.tolist() == [2, 0, 2, 1, 1] and batch.reward.tolist() == [0, 1, 0, 0, 0]
    assert batch.propensity is not None and batch.propensity.tolist() == [0.5, 0.25, 0.5, 0.5, 0.5]
    assert batch.context is not None and batch.context[1].tolist() == [0, 0, 1, 0, 1, 1]
    assert batch.user is None
    assert batch.context[:, :3].argmax(1).tolist() == [0, 2, 0, 0, 1]


BAD = {
    "position missing": ("0,t,2,,0,0.5,x,p,0\n", r"row 1 .*'position': None is no position, expected 1 to 3"),
    "position 4": ("0,t,2,4,0,0.5,x,p,0\n", r"row 1 .*'position': 4 is no position"),
    "propensity 0": ("0,t,2,1,0,0.0,x,p,0\n", r"row 1 .*'propensity': 0.0 is no propensity"),
    "propensity above 1": ("0,t,2,1,0,1.5,x,p,0\n", r"row 1 .*'propensity': 1.5 is no propensity"),
    "unknown item": ("0,t,3,1,0,0.5,x,p,0\n", r"row 1 .*'action': 3 is outside the support"),
    "click text": ("0,t,2,1,yes,0.5,x,p,0\n", r"row 1 .*'click': found 'yes', expected integers"),
    "cut short": ("0,t,2\n", r"men.csv.* row 1 .*'position': None is no position"),
}


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("row", "message"), BAD.values(), ids=BAD)
def test_bad_rows_are_refused(tmp_path: Path, row: str, message: str) -> None:
    root = write(tmp_path, rows=[ROWS[0], row, ROWS[1]])
    with pytest.raises(DataError, match=message):
        OpenBandit(campaign="men", root=root).log()


@pytest.mark.usefixtures("offline")
def test_bad_rows_are_excluded_when_asked(tmp_path: Path) -> None:
    rows = [BAD["position 4"][0], *ROWS, BAD["propensity 0"][0]]
    log = OpenBandit(campaign="men", root=write(tmp_path, rows=rows), exclude=True).log()
    assert log.summary == {
        "rounds": 5,
        "actions": 3,
        "position is no position": 1,
        "propensity is no propensity": 1,
    }


def test_the_small_release_is_fetched_where_files_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(folder: Path, package: Package) -> None:
        assert folder == tmp_path / "random" / "men" and package.requirement == "obp==0.4.1"
        assert list(package.members) == [
            "obp/dataset/obd/random/men/men.csv",
            "obp/dataset/obd/random/men/item_context.csv",
        ]
        write(tmp_path)

    monkeypatch.setattr(open_bandit, "fetch_package", fetch)
    assert len(OpenBandit(campaign="men", root=tmp_path).log()) == 5


@pytest.mark.usefixtures("offline")
def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    first = OpenBandit(campaign="men", root=write(tmp_path)).log().fingerprint
    assert OpenBandit(campaign="men", root=write(tmp_path)).log().fingerprint == first
    assert OpenBandit(campaign="men", root=write(tmp_path, rows=ROWS[1:])).log().fingerprint != first


def test_policies_and_campaigns_are_named() -> None:
    with pytest.raises(ConfigurationError, match="no policy 'ts': choose one of random, bts"):
        OpenBandit("ts")
    with pytest.raises(ConfigurationError, match="no campaign 'kids': choose one of all, men, women"):
        OpenBandit(campaign="kids")
