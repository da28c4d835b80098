"""The page about the bench: the class it shows plays, in a file of one's own."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/guide/bench.md"


def test_the_policy_of_the_page_plays_from_a_file_of_ones_own(tmp_path: Path) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    [line] = re.findall(r"^PYTHONPATH=\. recsys (bench .*)$", PAGE.read_text(), re.MULTILINE)
    command = f"{sys.executable} -m recsys.cli.main {line} limit=4 processes=1"
    done = subprocess.run(
        ["bash", "-c", f"PYTHONPATH=.:$PYTHONPATH {command}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"^ newest ", done.stdout, re.MULTILINE)
