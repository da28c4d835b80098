"""A download that is killed at its half, or at any operation on files, is begun anew and leaves no half file."""

from __future__ import annotations

import importlib.util
import io
import shutil
import signal
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tests.faults.killing import points, process, started
from tests.faults.mirror import MEMBERS, MirroredTables, Site, serving
from tests.faults.runs import arguments, contents
from tests.tables import write_tables

pytestmark = pytest.mark.faults

WHEEL, INFO = "recsys_mirrored-1.0-py3-none-any.whl", "recsys_mirrored-1.0.dist-info"


def zipped(files: dict[str, bytes]) -> bytes:
    with io.BytesIO() as out:
        with zipfile.ZipFile(out, "w") as archive:
            for name, content in files.items():
                archive.writestr(zipfile.ZipInfo(name), content)
        return out.getvalue()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A site with the archive and, for pip, a wheel with the same files."""
    write_tables(tmp_path / "made")
    files = {name: (tmp_path / "made" / name).read_bytes() for name in MEMBERS}
    about = {
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: recsys-mirrored\nVersion: 1.0\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/RECORD": b"",
    }
    with serving(Site({"tables.zip": zipped(files), WHEEL: zipped(files | about)})) as one:
        (tmp_path / "links.html").write_text(f'<a href="{one.address}/{WHEEL}">recsys_mirrored</a>')
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links.html"))
        yield one


def command(folder: Path, site: Site, archive: str) -> list[str]:
    """`recsys prepare` of what the site has, and of the package where the archive is not there."""
    digests = [sha256((folder.parent / "made" / name).read_bytes()).hexdigest() for name in MEMBERS]
    source = {
        "url": f"{site.address}/{archive}",
        "digest": sha256(site.files["tables.zip"]).hexdigest(),
        "requirement": "recsys-mirrored==1.0",
    }
    given = [f"+dataset.{key}='{value}'" for key, value in source.items()]
    given += [
        f"+dataset.digests=[{','.join(map(repr, digests))}]",
        f"dataset._target_={MirroredTables.__module__}.MirroredTables",
    ]
    return ["prepare", *arguments(folder)[1:], *given]


def begun(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def results(folder: Path) -> dict[str, str]:
    return contents(folder / "tables") | contents(folder / "data")


@pytest.mark.parametrize("archive", ["tables.zip", "gone.zip"], ids=["site", "package"])
def test_a_download_that_was_killed_at_its_half(archive: str, site: Site, tmp_path: Path) -> None:
    if archive == "gone.zip" and importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed")
    folder = begun(tmp_path / "folder")
    given = command(folder, site, archive)
    child = started(given, folder)
    assert site.halved.wait(60)
    assert child.is_alive()
    child.kill()
    child.join()
    assert list((folder / "tables").glob(".aside-*")) and not list((folder / "tables").glob("*.parquet"))
    site.released.set()
    site.whole = True
    assert process(given, folder)[0] == 0
    assert sorted(one.name for one in (folder / "tables").iterdir()) == sorted(MEMBERS)
    expected = results(folder)
    assert process(command(begun(folder), site, archive), folder)[0] == 0
    assert results(folder) == expected


def test_a_download_that_was_killed_at_any_operation(site: Site, tmp_path: Path) -> None:
    site.whole = True
    folder = begun(tmp_path / "folder")
    code, counts = process(command(folder, site, "tables.zip"), folder)
    assert code == 0
    expected = results(folder)
    for kind in ("replace", "fsync", "rmtree"):
        for at in points(min(counts[kind], 12), 2):  # a download comes first
            given = command(begun(folder), site, "tables.zip")
            assert process(given, folder, kind, at)[0] == -signal.SIGKILL, (kind, at)
            assert process(given, folder)[0] == 0, (kind, at)
            assert results(folder) == expected, (kind, at)
