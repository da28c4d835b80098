"""A pool of processes that works in this one: a new process imports the package for five seconds."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import pytest


class HerePool(ProcessPoolExecutor):
    """What the bench asks of a `ProcessPoolExecutor`; work is done when it is submitted."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def shutdown(self, *_: Any, **__: Any) -> None: ...

    def submit(self, work: Callable[..., Any], *given: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(work(*given))
        except Exception as error:
            future.set_exception(error)
        return future


@pytest.fixture
def played_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of the bench are played in this process; `tests/bench/test_bench.py` has one test that processes agree."""
    monkeypatch.setattr("recsys.bench.grid.ProcessPoolExecutor", HerePool)
