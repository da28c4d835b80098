from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from recsys.config.compose import compose
from recsys.runs.run import run_stages
from tests.replay.feedback_files import action_table, slate_table, two_policies, written
from tests.report.test_browser import CHROMIUM, shown


def reported(folder: Path, table: pl.DataFrame, *overrides: str) -> Path:
    path = written(table, folder / "log.parquet")
    result = run_stages(compose([f"root={folder / 'runs'}", "log=parquet", f"log.path={path}", *overrides], "replay"))
    return result.folder / "report.html"


def headings(page: Path) -> list[str]:
    return re.findall(r"<h2[^>]*>(.*?)</h2>", page.read_text())


def test_it_has_a_section_for_all_that_is_to_be_known(tmp_path: Path) -> None:
    page = reported(tmp_path, two_policies())
    known = ["Values", "Diagnostics", "Weights", "Clipping", "Propensities", "Placebo", "Configuration"]
    assert headings(page) == known
    text = page.read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", text), "the report loads nothing from a network"
    assert "uniform, evaluated on the log old" in text and "on-policy value" in text and text.count("<svg") >= 4


def test_what_is_chosen_stands_first(tmp_path: Path) -> None:
    page = reported(tmp_path, action_table(), "select=true")
    assert headings(page)[:2] == ["Selection", "Values"] and "Selected: uniform." in page.read_text()


def test_slates_have_what_there_is_of_them(tmp_path: Path) -> None:
    page = reported(tmp_path, slate_table(), "estimator=[slate_ips]")
    assert headings(page) == ["Values", "Diagnostics", "Configuration"]


def test_no_estimate_is_said_with_its_reason(tmp_path: Path) -> None:
    text = reported(tmp_path, action_table(60)).read_text()
    assert "uniform, evaluated on the log old: no estimate. effective sample size" in text
    assert text.count("at least 100 is asked") >= 4, "for each estimator, too"


def test_intervals_have_the_confidence_that_was_asked_for(tmp_path: Path) -> None:
    assert "80 % interval" in reported(tmp_path, action_table(), "confidence=0.8").read_text()


def test_estimated_propensities_are_marked_and_shown(tmp_path: Path) -> None:
    page = reported(tmp_path, action_table().drop("propensity"), "log.propensities=estimated")
    assert "Estimated propensities" in headings(page)
    text = page.read_text()
    assert "evaluated on the log old, propensities estimated" in text
    assert text.count("propensities estimated") >= 4, "beside each estimate"
    assert "0.4 to 0.5" in text or "0.5 to 0.6" in text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: Debian's package `chromium` has it")
def test_it_opens_in_a_browser_without_a_network_and_without_a_console_error(tmp_path: Path) -> None:
    page = reported(tmp_path, two_policies().drop("propensity"), "log.propensities=estimated")
    document, console = shown(page, tmp_path / "profile")
    assert console == []
    assert all(title in document for title in ("Values", "Weights", "Clipping", "Placebo", "Estimated propensities"))
    assert document.count("<svg") >= 4
