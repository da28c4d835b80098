from __future__ import annotations

import logging
import re
import warnings
from pathlib import Path

import pytest

from recsys.runs.notices import PlainFormatter
from recsys.runs.run_log import log_to_file


def kept(path: Path) -> list[str]:
    """Messages of the log, each line's time checked and cut off."""
    lines = path.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", line) for line in lines)
    return [line[24:] for line in lines]


def test_lines_are_kept_without_colours_and_redrawn_ones_not_at_all(tmp_path: Path) -> None:
    with log_to_file(tmp_path / "run.log"):
        print("\x1b[1mhit rate\x1b[0m 0.2", end="")
        print(" of all")
        print("10 %\r50 %\r100 %")
        print("\x1b[2K\x1b[1Abar")
        print()
    assert kept(tmp_path / "run.log") == ["INFO recsys: hit rate 0.2 of all", "INFO recsys: 100 %"]


LIBRARY = str(Path(logging.__file__))


def test_what_is_ours_or_the_users_is_shown_and_libraries_are_only_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with log_to_file(tmp_path / "run.log"), warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.getLogger("recsys.items").info("3 % collide")
        logging.getLogger("elsewhere").warning("odd")
        warnings.warn("old", stacklevel=1)
        warnings.warn_explicit("chatter", UserWarning, LIBRARY, 7)
        logging.getLogger("library").handle(logging.LogRecord("library", 30, LIBRARY, 7, "tip", None, None))
    shown = capsys.readouterr()
    assert shown.out == "3 % collide\n"
    first, second = shown.err.splitlines()
    assert first == "odd" and second.endswith("UserWarning: old") and __file__ in second
    lines = (tmp_path / "run.log").read_text()
    for said in ("INFO recsys.items: 3 % collide", "WARNING elsewhere: odd", "Warning: old", "Warning: chatter", "tip"):
        assert said in lines


def test_hostile_names_are_kept_and_shown_visible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_file(tmp_path / "run.log"):
        logging.getLogger("recsys").warning("%s is gone", "a\x1b[2J [/red]")
    shown = capsys.readouterr()
    assert shown.out == "a\\x1b[2J [/red] is gone\n" and shown.err == ""
    assert shown.out in (tmp_path / "run.log").read_text()


def test_bytes_of_file_names_can_be_written() -> None:
    record = logging.LogRecord("recsys", logging.INFO, __file__, 0, "%s\n", ("a\udcff",), None)
    assert PlainFormatter("%(message)s").format(record) == "a\\udcff\n"


def test_a_traceback_is_kept_and_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with log_to_file(tmp_path / "run.log"):
        logging.getLogger("recsys").error("policy a: %s", "ValueError: no", exc_info=ValueError("no"))
    assert capsys.readouterr().out == "policy a: ValueError: no\n"
    assert (tmp_path / "run.log").read_text().splitlines()[1:] == ["ValueError: no"]


def test_nothing_stays_attached_and_a_second_run_appends(tmp_path: Path) -> None:
    root, ours = logging.getLogger(), logging.getLogger("recsys")
    before = (list(root.handlers), list(ours.handlers), ours.level)
    for number in (1, 2):
        with log_to_file(tmp_path / "run.log"):
            print(number)
    assert (root.handlers, ours.handlers, ours.level) == before
    assert kept(tmp_path / "run.log") == ["INFO recsys: 1", "INFO recsys: 2"]


def test_an_interruption_is_told_from_a_failure(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), log_to_file(tmp_path / "run.log"):
        raise KeyboardInterrupt
    with pytest.raises(ValueError, match="bad"), log_to_file(tmp_path / "run.log"):
        raise ValueError("bad")
    log = (tmp_path / "run.log").read_text()
    assert "ERROR recsys: interrupted" in log
    assert "ERROR recsys: failed" in log
    assert "ValueError: bad" in log
