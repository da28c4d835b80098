"""A run that is killed at any operation on files goes on to what an uninterrupted one leaves."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from tests.faults.killing import OPERATIONS, points, process
from tests.faults.runs import arguments, contents
from tests.tables import write_tables

pytestmark = pytest.mark.faults

POINTS = 5
"""Kills at each kind of operation, evenly over those of a run."""
VOLATILE = (
    "fingerprint.json",
    "partial.json",
    "prepare/dataset.json",
    "bundle/semantic_ids.safetensors",
    "bundle/checksums.json",
)
"""Marks hold the checksum of the page, which says when it was written; the pointer to the data holds an absolute path;
safetensors has its metadata in any order."""


def results(folder: Path) -> dict[str, str]:
    found = contents(folder / "run" / "stages") | contents(folder / "data")
    return {name: digest for name, digest in found.items() if not name.endswith(VOLATILE)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], str, dict[str, int]]:
    """Results, metrics and the number of operations of a run that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole")
    write_tables(folder / "tables")
    code, counts = process(arguments(folder), folder)
    assert code == 0
    return results(folder), (folder / "run" / "metrics.json").read_text(), counts


@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_run_that_was_killed_goes_on(
    kind: str, whole: tuple[dict[str, str], str, dict[str, int]], tmp_path: Path
) -> None:
    expected, metrics, counts = whole
    for at in points(counts[kind], POINTS):
        folder = tmp_path / str(at)
        write_tables(folder / "tables")
        code, _ = process(arguments(folder), folder, kind, at)
        assert code == -signal.SIGKILL, (kind, at)
        code, _ = process(arguments(folder), folder)
        assert code == 0, (kind, at)
        found = results(folder)
        assert {name: found.get(name) for name in expected} == expected, (kind, at)
        assert (folder / "run" / "metrics.json").read_text() == metrics
        assert not [one for one in (folder / "run").rglob("*aside*")]
        shutil.rmtree(folder)
