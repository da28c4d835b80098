from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys.cli import doctor as module
from recsys.cli.doctor import doctor, extra
from recsys.cli.main import main


@pytest.fixture
def extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Extras of every kind instead of the real, slow ones."""
    (tmp_path / "works_well.py").write_text("__version__ = '1.2'\n")
    (tmp_path / "lacks_more.py").write_text("import not_there_at_all\n")
    (tmp_path / "is_broken.py").write_text("raise OSError('libfoo.so: no such file\\nmore')\n")
    monkeypatch.syspath_prepend(tmp_path)
    names = ("works_well", "lacks_more", "is_broken", "is_absent")
    monkeypatch.setattr(module, "EXTRAS", {name: ("text", "tests") for name in names})


def test_an_extra_works_or_says_why_not(extras: None) -> None:
    assert extra("works_well") == "1.2; for tests"
    assert extra("lacks_more") == "does not import: it needs not_there_at_all (text); for tests"
    assert extra("is_broken") == "does not import: OSError: libfoo.so: no such file; for tests"
    assert extra("is_absent") == "not installed (text); for tests"


def test_facts(extras: None, tmp_path: Path) -> None:
    facts = doctor(tmp_path)
    assert facts["versions"]["torch"] == torch.__version__
    assert str(tmp_path) in facts["machine"]["free disk"]
    assert "threads" in facts["devices"]["cpu"]
    assert facts["devices"]["cuda"].startswith("none") != torch.cuda.is_available()


def test_the_command_prints_all_sections(extras: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert all(section in shown for section in ("versions", "machine", "devices", "extras", "is_broken"))


def test_it_takes_no_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "x=1"]) == 2
    assert "takes no arguments, found x=1" in capsys.readouterr().err
    assert main(["doctor", "--help"]) == 0
