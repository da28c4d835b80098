"""The order in which the trainings of a run can be made, derived from the artifacts that they name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recsys.config.suggest import suggestion
from recsys.errors import ConfigurationError
from recsys.runs.artifacts import ITEM_VECTORS, named_artifacts

NAME = re.compile(r"\w[\w.+-]*")
TAKEN = ("order.json", "history.parquet", "fingerprint.json")
"""Files beside the folders of the trainings."""


def dependencies(training: Mapping[str, Any]) -> list[str]:
    """Return the artifacts that a training needs: its `start`, and those that its configuration names by `artifact`.

    Raises:
        ConfigurationError: a place that names an artifact lacks its `name`.
    """
    start = [str(training["start"])] if "start" in training else []
    named = []
    for one in named_artifacts(training):
        if one.name is None:
            raise ConfigurationError(f"{one.key}: recsys.runs.artifacts.artifact needs `name`, the artifact's")
        named.append(one.name)
    return list(dict.fromkeys([*start, *named]))


def training_order(trainings: Mapping[str, Any]) -> list[str]:
    """Return the names of the trainings, each after those that it needs, otherwise as they are written.

    Args:
        trainings: configuration of each training, by name.

    Raises:
        ConfigurationError: a training has a name that is no name of a folder or is not free, has neither or both of
            `model` and `start`, needs an artifact that no training leaves, or needs itself by way of others.
    """
    needs: dict[str, list[str]] = {}
    for name, training in trainings.items():
        _check_name(str(name))
        if ("start" in training) == ("model" in training):
            raise ConfigurationError(f"train.{name}: give either `model` or `start`, one of the two")
        if training.get("start") == ITEM_VECTORS:
            raise ConfigurationError(f"train.{name}.start: item vectors are no training; name one of {[*trainings]}")
        try:
            needs[name] = [one for one in dependencies(training) if one != ITEM_VECTORS]
        except ConfigurationError as error:
            raise ConfigurationError(f"train.{name}: {error}") from None
        for one in needs[name]:
            if one not in trainings:
                raise ConfigurationError(
                    f"train.{name}: it needs '{one}', which no training leaves; {suggestion(one, trainings)}"
                )
    order: list[str] = []
    while len(order) < len(needs):
        ready = [name for name in needs if name not in order and all(one in order for one in needs[name])]
        if not ready:
            raise ConfigurationError(_cycle(needs, order))
        order.append(ready[0])
    return order


def _check_name(name: str) -> None:
    """Refuse what cannot be the name of a folder and of a row."""
    if name == ITEM_VECTORS:
        raise ConfigurationError(f"train.{name}: the stage `tokenize` leaves an artifact of this name")
    if not NAME.fullmatch(name) or name in TAKEN:
        raise ConfigurationError(
            f"train: {name!r} cannot be the name of a training, which is that of its folder and of its row; "
            "use letters, digits, _, -, + and ."
        )


def _cycle(needs: Mapping[str, list[str]], made: list[str]) -> str:
    """Name a cycle among the trainings that cannot be made."""
    path = [next(name for name in needs if name not in made)]
    while path[-1] not in path[:-1]:
        path.append(next(one for one in needs[path[-1]] if one not in made))
    circle = path[path.index(path[-1]) :]
    return f"train.{circle[0]}: it needs itself: {' needs '.join(circle)}"
