"""Plan a run: what each stage depends on, as one fingerprint of its configuration and its inputs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from recsys.atomic import write_json
from recsys.checksums import (
    CHECKSUMS_FILE,
    Checksums,
    check_folder,
    checksum,
    first_damaged,
    folder_checksums,
    read_checksums,
)
from recsys.config.settings import LOCATION_KEYS, RunSettings
from recsys.config.validate import locate
from recsys.errors import ConfigurationError, DataError, RequestError

FINGERPRINT_FILE, PARTIAL_FILE = "fingerprint.json", "partial.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PlannedStage:
    """One stage of a run before it is made.

    Args:
        name: of the stage, and of its folder.
        node: its configuration.
        results: file names at the root of the run folder that it writes.
        fingerprint: hexadecimal SHA-256 of `node`, values resolved, and of the stages before it.
        incremental: whether it tells itself which parts of an older result still hold, and takes away the others.
    """

    name: str
    node: DictConfig
    results: tuple[str, ...]
    fingerprint: str
    incremental: bool = False


def plan(config: DictConfig) -> list[PlannedStage]:
    """Return the run's stages in order, each with its fingerprint; a stage depends on all stages before it.

    Raises:
        ConfigurationError: a stage has another name in `stages` than its class has, or refuses its configuration
            (`check_configuration`).
    """
    steps: list[PlannedStage] = []
    for name in RunSettings.of(config).stages:
        node = config.stage[name]
        target = locate(f"stage.{name}._target_", node["_target_"])
        own = node.get("name", getattr(target, "name", name))
        if own != name:
            raise ConfigurationError(f"stages: expected '{own}' as the name of stage.{name}, found '{name}'")
        check = getattr(target, "check_configuration", None)
        if check is not None:
            check(node, config)
        before = [step.fingerprint for step in steps]
        mark = fingerprint(OmegaConf.to_container(node, resolve=True), *before)
        results, incremental = getattr(target, "results", ()), getattr(target, "incremental", False)
        steps.append(PlannedStage(name, node, tuple(results), mark, incremental))
    return steps


def configuration_fingerprint(config: DictConfig) -> str:
    """SHA-256 of a whole configuration, values resolved, without the keys that say where the run lies."""
    tree = OmegaConf.to_container(config, resolve=True)
    assert isinstance(tree, dict)
    return fingerprint({key: value for key, value in tree.items() if key not in LOCATION_KEYS})


def fingerprint(*values: Any) -> str:
    """Hexadecimal SHA-256 of plain values or configurations; the order of keys does not matter.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    >>> fingerprint(1, 2) == fingerprint(2, 1)
    False
    """
    text = json.dumps(values, sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def is_fresh(folder: Path, mark: str, marker: str = FINGERPRINT_FILE) -> bool:
    """Whether the folder holds a whole result that was made with this fingerprint; what is damaged is told."""
    found = _read_mark(folder / marker)
    if found is None or found.get("fingerprint") != mark:
        return False
    damaged = _damaged(folder, found)
    if damaged is not None:
        log.warning("%s is %s: it is made anew", damaged, "damaged" if damaged.exists() else "gone")
    return damaged is None


def mark_fresh(
    folder: Path,
    mark: str,
    marker: str = FINGERPRINT_FILE,
    files: Checksums | None = None,
    within: tuple[str, ...] = (),
) -> None:
    """Say that the folder holds the result of this fingerprint: the last thing to write there.

    Args:
        folder: the folder.
        mark: the fingerprint.
        marker: name of the file that says so.
        files: checksums of what belongs to the result; None leaves them out.
        within: folders inside that answer for themselves and must be there.
    """
    kept: dict[str, Any] = {"fingerprint": mark}
    if files is not None:
        kept |= {"files": files, "folders": list(within)}
    write_json(folder / marker, kept)


def mark_result(folder: Path, mark: str, others: Sequence[Path] = ()) -> None:
    """Say that the folder holds the result of this fingerprint, with a checksum of every file.

    Args:
        folder: the folder.
        mark: the fingerprint.
        others: files elsewhere that belong to the result, where they exist.
    """
    files = folder_checksums(folder, (FINGERPRINT_FILE, PARTIAL_FILE))
    files |= {os.path.relpath(one, folder): checksum(one) for one in others if one.exists()}
    within = tuple(str(one.parent.relative_to(folder)) for one in sorted(folder.rglob(CHECKSUMS_FILE)))
    mark_fresh(folder, mark, files=files, within=within)


def check_result(folder: Path) -> None:
    """Refuse a result of which a file was damaged or deleted; one without a mark is not checked.

    Raises:
        RequestError: a file is gone or is another one than was written.
    """
    found = _read_mark(folder / FINGERPRINT_FILE)
    damaged = None if found is None else _damaged(folder, found)
    if damaged is not None:
        raise RequestError(
            f"{damaged} is {'damaged' if damaged.exists() else 'gone'}: run the command that made the run again, it is"
            " made anew"
        )


def marked_files(folder: Path) -> list[Path]:
    """Return the files that belong to the result in a folder by its mark; empty where it has none."""
    found = _read_mark(folder / FINGERPRINT_FILE) or {}
    return [folder / name for name in found.get("files") or ()]


def _read_mark(file: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _damaged(folder: Path, mark: Mapping[str, Any]) -> Path | None:
    """Return the first file of a marked result that is gone or another one than was written."""
    try:
        damaged = first_damaged(folder, read_checksums(mark.get("files", {})))
        gone = (folder / one / CHECKSUMS_FILE for one in mark.get("folders", ()))
        return damaged or next((one for one in gone if _own_damage(one.parent)), None)
    except (TypeError, ValueError, AttributeError):
        return folder / FINGERPRINT_FILE


def _own_damage(folder: Path) -> bool:
    if not (folder / CHECKSUMS_FILE).exists():
        return True
    try:
        check_folder(folder, "it is made anew")
    except DataError as error:
        log.warning("%s", error)
        return True
    return False


def _plain(value: Any) -> Any:
    """JSON for what JSON does not know."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else str(value)
