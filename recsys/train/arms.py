"""The trained arms of a run, found by name."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recsys.errors import ConfigurationError
from recsys.train.run_folder import RunFolder

RESULT = "result.json"


def arm_folders(run: RunFolder) -> Iterator[tuple[str, Path]]:
    """Name and folder of every trained arm of a run, oldest first."""
    results = sorted(run.path.glob(f"stages/*/*/{RESULT}"), key=lambda path: path.stat().st_mtime)
    for path in results:
        yield path.parent.name, path.parent


def arm_folder(run: RunFolder, name: str) -> Path:
    """The folder of a trained arm.

    Raises:
        ConfigurationError: no arm of that name was trained.
    """
    folders = dict(arm_folders(run))
    if name not in folders:
        raise ConfigurationError(f"no trained arm {name!r}: there are {', '.join(folders) or 'none yet'}")
    return folders[name]


def arm_result(folder: Path) -> dict[str, Any]:
    """What a training left in its folder: its best `validation` NDCG@10 and its `fingerprint`."""
    return json.loads((folder / RESULT).read_text())


def best_arm(run: RunFolder, among: Sequence[str]) -> str:
    """The arm with the best validation NDCG@10 among those named."""
    return max(among, key=lambda name: arm_result(arm_folder(run, name))["validation"])
