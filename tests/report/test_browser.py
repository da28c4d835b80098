"""A report as a browser shows it: whole, without a network, without a word in the console."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from recsys.config.compose import compose
from recsys.runs.run import run_stages

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: Debian's package `chromium` has it")


def shown(page: Path, profile: Path) -> tuple[str, list[str]]:
    """The document as the browser built it, and what it wrote to the console."""
    assert CHROMIUM is not None
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={profile}"]
    alone = ["--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *quiet, *alone, page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout, re.findall(r"CONSOLE[^\n]*", done.stderr)


def test_the_report_of_a_bench_opens_without_a_network_and_without_a_console_error(
    tmp_path: Path, played_here: None
) -> None:
    config = compose([f"root={tmp_path / 'runs'}", "policy=[greedy,oracle]", "limit=4", "processes=1"], "bench")
    document, console = shown(run_stages(config).folder / "report.html", tmp_path / "profile")
    assert console == []
    assert all(title in document for title in ("Paired differences", "Over time", "Regret so far", "user 0, greedy"))
    assert document.count("<svg") >= 3


def test_a_page_that_asks_for_more_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>x</title><script>console.error('lost')</script>")
    assert any("lost" in line for line in shown(page, tmp_path / "profile")[1])
