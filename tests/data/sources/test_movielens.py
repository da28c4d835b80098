from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recsys.data.datasets.prepare import prepare
from recsys.data.datasets.split import LeaveOneOut
from recsys.data.sources import movielens
from recsys.data.sources.movielens import MovieLens
from recsys.errors import ConfigurationError, DataError


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movielens, "fetch", lambda *_: pytest.fail("fetched although the files are there"))


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("version", ["100k", "1m", "32m"])
def test_official_files_that_lie_there_are_used(version: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(f"official_{version}")
    tables = MovieLens(version, root=folder.parent).tables()
    assert tables.name == f"movielens_{version}"
    assert len(tables.interactions.collect()) == 2
    assert tables.items is not None and {"title", "year", "categories"} <= set(tables.items.collect_schema())


@pytest.mark.usefixtures("offline")
def test_both_layouts_prepare_to_the_same_data(
    official_100k: Path, recbole_100k_elsewhere: Path, tmp_path: Path
) -> None:
    first, second = (
        prepare(MovieLens(root=folder.parent), LeaveOneOut(), k_core=0, root=tmp_path / "prepared")
        for folder in (official_100k, recbole_100k_elsewhere)
    )
    assert first.items.equals(second.items) and first.users.equals(second.users)
    assert first.complete.history.values.tolist() == second.complete.history.values.tolist()
    assert first.fingerprint != second.fingerprint


@pytest.fixture
def recbole_100k_elsewhere(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    official = tmp_path / "ml-100k"
    aside = official.rename(tmp_path / "kept")
    carried: Path = request.getfixturevalue("recbole_100k")
    moved = Path(shutil.move(carried, tmp_path / "carried" / "ml-100k"))
    aside.rename(official)
    return moved


def test_files_are_fetched_where_some_are_missing(
    official_100k: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = (official_100k / "u.user").read_text()
    (official_100k / "u.user").unlink()

    def fetch(folder: Path, archive: object, package: object, timeout: float) -> None:
        assert (archive, package, timeout) == (release.archive, release.package, 2.0)
        (folder / "u.user").write_text(users)

    release = movielens.RELEASES["100k"]
    monkeypatch.setattr(movielens, "fetch", fetch)
    assert len(MovieLens(root=tmp_path, timeout=2.0).tables().interactions.collect()) == 2


@pytest.mark.usefixtures("offline")
def test_the_fingerprint_follows_the_files(official_100k: Path) -> None:
    first = MovieLens(root=official_100k.parent).tables().fingerprint
    (official_100k / "u.data").write_text("196\t242\t3\t881250950\n")
    assert MovieLens(root=official_100k.parent).tables().fingerprint != first


@pytest.mark.usefixtures("offline")
def test_a_damaged_file_is_named(official_100k: Path) -> None:
    good = "196\t242\t3\t881250949\n"
    for damage, message in (("196\t242\tthree\t881250949\n", "cannot be read"), ("196\t24", "1 row.* truncated")):
        (official_100k / "u.data").write_text(good + damage)
        with pytest.raises(DataError, match=rf"u.data.*{message}"):
            MovieLens(root=official_100k.parent).tables()


def test_releases_are_named() -> None:
    with pytest.raises(ConfigurationError, match="no release '10m': choose one of 100k, 1m, 32m"):
        MovieLens("10m")
