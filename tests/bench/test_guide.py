"""The page about the bench: the classes it shows play, in a file of one's own."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import pytest

from recsys.cli.main import DONE, main

PAGE = (Path(__file__).parents[2] / "docs/guide/bench.md").read_text()
COMMANDS = re.findall(r"^PYTHONPATH=\. recsys (bench .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(
    ("line", "row"), list(zip(COMMANDS, ("newest", "bernoulli_thompson", "bernoulli_thompson"), strict=True))
)
def test_the_classes_of_the_page_play_from_a_file_of_ones_own(
    line: str,
    row: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    played_here: None,
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.py").write_text("\n".join(blocks))
    for name, file in re.findall(r"^```yaml\n# (my_conf/\S+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(file)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "mine", import_module("mine"))
    assert main([*shlex.split(line), "limit=20", "processes=1"]) == DONE
    shown = capsys.readouterr().out
    [own] = re.findall(rf"^ {row} .*", shown, re.MULTILINE)
    [oracle] = re.findall(r"^ oracle .*", shown, re.MULTILINE)
    assert float(own.split()[1]) <= float(oracle.split()[1])
