"""Find where a value of a configuration is written, through the interpolations that refer to it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from omegaconf import DictConfig, ListConfig, Node

from recsys.config.signature import WHOLE_INTERPOLATION
from recsys.config.unused_keys import interpolated_keys
from recsys.instantiation import PartError

MOST_STEPS = 100
"""References that are followed at most; a configuration whose references form a circle does not resolve."""


def written_keys(config: DictConfig, key: str) -> list[str]:
    """Return a key, and the keys that the interpolations above it lead to; the last one is where the value is written.

    >>> from omegaconf import OmegaConf
    >>> config = OmegaConf.create({"lr": {"value": 1}, "train": {"lr": "${lr}"}, "stage": {"trainings": "${train}"}})
    >>> written_keys(config, "stage.trainings.lr.value")
    ['stage.trainings.lr.value', 'train.lr.value', 'lr.value']
    """
    keys = [key]
    while len(keys) < MOST_STEPS and (moved := _followed(config, keys[-1])) is not None:
        keys.append(moved)
    return keys


@contextmanager
def naming_written_keys(config: DictConfig) -> Iterator[None]:
    """Let a `PartError` raised inside the block name the key at which the part is written."""
    config = copy.deepcopy(config)
    try:
        yield
    except PartError as error:
        keys = written_keys(config, error.key)
        used = next((one for one in keys if not one.startswith("stage.")), keys[-1])
        refers = "" if used == keys[-1] else f" ({used} refers to it)"
        raise PartError(keys[-1], f"{error.problem}{refers}") from error.__cause__


def _followed(config: DictConfig, key: str) -> str | None:
    """Return the key after the first interpolation on the way to it; None if there is none."""
    node: Any = config
    parts = re.findall(r"[^.\[\]]+", key)
    for place, part in enumerate(parts):
        if isinstance(node, DictConfig):
            node = node._get_node(part, validate_access=False)
        elif isinstance(node, ListConfig) and part.isdigit() and int(part) < len(node):
            node = node._get_node(int(part))
        else:
            return None
        raw = node._value() if isinstance(node, Node) else None
        if isinstance(raw, str) and WHOLE_INTERPOLATION.fullmatch(raw):
            (target,) = interpolated_keys(raw, ".".join(parts[: place + 1]))
            return ".".join([target, *parts[place + 1 :]])
    return None
