"""A result that was deleted or damaged is never up to date and never read as if it were whole."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys.cli.main import main
from tests.faults.runs import arguments, contents, made

pytestmark = pytest.mark.faults


def delete(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(bytes(content))


DAMAGE = [delete, cut, flip]
MARKS = ("fingerprint.json", ".run.json")
"""A mark that is damaged says nothing: the result is made anew."""


UNORDERED = ("bundle/semantic_ids.safetensors", "bundle/checksums.json")
"""safetensors writes the keys of its metadata in any order; `bundle.json` holds the fingerprint of the codes."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("damage")
    made(folder)
    shutil.copytree(folder / "run", folder / "run_kept")
    shutil.copytree(folder / "data", folder / "data_kept")
    return folder


@pytest.fixture
def folder(whole: Path) -> Path:
    """Run and prepared data as they were made."""
    for name in ("run", "data"):
        shutil.rmtree(whole / name)
        shutil.copytree(whole / f"{name}_kept", whole / name)
    return whole


def results(folder: Path) -> list[Path]:
    """Every file that holds a result."""
    names = ("metrics.json", "metrics.parquet", "report.html")
    files = [folder / "run" / name for name in names]
    files += [one for one in (folder / "run" / "stages").rglob("*") if one.is_file()]
    return [*files, *(one for one in (folder / "data").rglob("*") if one.is_file())]


def kept(folder: Path) -> dict[str, str]:
    """Results by their digests; marks hold those of the page, which says when it was written."""
    found = contents(folder / "run" / "stages") | contents(folder / "data")
    return {name: digest for name, digest in found.items() if not name.endswith((*MARKS, *UNORDERED))}


@pytest.mark.parametrize("damage", DAMAGE)
def test_who_reads_a_run_is_told_or_gets_the_same(
    damage: Callable[[Path], None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["recommend", f"run={folder / 'run'}", "user=u3"]
    assert main(asked) == 0
    expected, told = capsys.readouterr().out, 0
    for file in results(folder):
        content = file.read_bytes()
        damage(file)
        code = main(asked)
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err, file
        assert code == 2 or (code == 0 and shown.out == expected), (file, shown.err)
        if code == 2:
            told += 1
            assert str(file.parent.name) in shown.err, shown.err
        file.write_bytes(content)
    assert told >= 12


@pytest.mark.parametrize("shift", range(3))
def test_the_same_command_makes_anew_what_is_damaged(shift: int, whole: Path, folder: Path) -> None:
    expected = kept(folder)
    for place, file in enumerate(results(folder)):
        if place % 3 == shift:
            DAMAGE[place % 2 + (shift == 2)](file)
            assert main(arguments(folder)) == 0, file
            assert kept(folder) == expected, file
            assert file.exists()


def test_a_bundle_that_is_gone_is_no_run_without_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(folder / "run" / "stages" / "tokenize" / "bundle")
    assert main(["recommend", f"run={folder / 'run'}", "user=u3"]) == 2
    assert "bundle" in capsys.readouterr().err
