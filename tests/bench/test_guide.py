"""The page about the bench: the classes it shows play, in a file of one's own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/guide/bench.md").read_text()
COMMANDS = re.findall(r"^PYTHONPATH=\. recsys (bench .*)$", PAGE, re.MULTILINE)


def bench(line: str, folder: Path) -> str:
    """What a command of the page prints, played small beside the page's classes."""
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (folder / "mine.py").write_text("\n".join(blocks))
    command = f"PYTHONPATH=.:$PYTHONPATH {sys.executable} -m recsys.cli.main {line} limit=20 processes=1"
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("line", "row"), list(zip(COMMANDS, ("newest", "arms"), strict=True)))
def test_the_classes_of_the_page_play_from_a_file_of_ones_own(line: str, row: str, tmp_path: Path) -> None:
    shown = bench(line, tmp_path)
    [own] = re.findall(rf"^ {row} .*", shown, re.MULTILINE)
    [oracle] = re.findall(r"^ oracle .*", shown, re.MULTILINE)
    assert float(own.split()[1]) <= float(oracle.split()[1])
