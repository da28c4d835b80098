"""How well the rows of a run's table did on its validation requests: kept by the evaluation, read by who serves one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

from recsys.runs.fingerprint import check_result
from recsys.runs.run_folder import RunFolder

VALIDATION = "validation"
"""Name of the file with each row's figure on the validation requests, more being better."""


def stored_validation(run: RunFolder) -> dict[str, float | None]:
    """Return the figures that the evaluation of a run left; none where it has left none.

    Raises:
        RequestError: they were damaged.
    """
    path = run.stage("evaluate") / f"{VALIDATION}.json"
    check_result(path.parent)
    return json.loads(path.read_text()) if path.exists() else {}


def highest(found: Mapping[str, float | None], among: Iterable[str] | None = None) -> str | None:
    """Return the row with the highest figure, the first of several; None where no figure is known.

    Args:
        found: figure of each row; None is below every number.
        among: rows to choose from; None means all.

    >>> highest({"a": None, "b": 0.2, "c": 0.3, "d": 0.3}), highest({"a": None}), highest({"a": 1.0, "b": 2.0}, ["a"])
    ('c', None, 'a')
    """
    known = {name: value for name in found if (value := found[name]) is not None and (among is None or name in among)}
    return max(known, key=lambda name: known[name]) if known else None


def finite_or_none(value: float) -> float | None:
    """Return a number as it is kept in a file: None where it is NaN or infinite."""
    return value if math.isfinite(value) else None
