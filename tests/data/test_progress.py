from __future__ import annotations

import pytest

from recsys.data.progress import progress


def test_nothing_is_written_where_nobody_looks(capfd: pytest.CaptureFixture[str]) -> None:
    with progress() as bar:
        bar.advance(bar.add_task("work", total=1))
    assert capfd.readouterr() == ("", "")
