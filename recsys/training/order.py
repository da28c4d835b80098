"""The order in which the trainings of a run can be made, derived from the artifacts that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recsys.config.suggest import suggestion
from recsys.errors import ConfigurationError
from recsys.runs.artifacts import ITEM_VECTORS, named_artifacts


def dependencies(training: Mapping[str, Any]) -> list[str]:
    """Return the artifacts that a training needs: its `start`, and those that its configuration names by `artifact`."""
    start = [str(training["start"])] if "start" in training else []
    return list(dict.fromkeys([*start, *named_artifacts(training)]))


def training_order(trainings: Mapping[str, Any]) -> list[str]:
    """Return the names of the trainings, each after those that it needs, otherwise as they are written.

    Args:
        trainings: configuration of each training, by name.

    Raises:
        ConfigurationError: a training has neither or both of `model` and `start`, takes a name that is not free, needs
            an artifact that no training leaves, or needs itself by way of others.
    """
    needs: dict[str, list[str]] = {}
    for name, training in trainings.items():
        if name == ITEM_VECTORS:
            raise ConfigurationError(f"train.{name}: the stage `tokenize` leaves an artifact of this name")
        if ("start" in training) == ("model" in training):
            raise ConfigurationError(f"train.{name}: give either `model` or `start`, one of the two")
        needs[name] = [one for one in dependencies(training) if one != ITEM_VECTORS]
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


def _cycle(needs: Mapping[str, list[str]], made: list[str]) -> str:
    """Name a cycle among the trainings that cannot be made."""
    path = [next(name for name in needs if name not in made)]
    while path[-1] not in path[:-1]:
        path.append(next(one for one in needs[path[-1]] if one not in made))
    circle = path[path.index(path[-1]) :]
    return f"train.{circle[0]}: it needs itself: {' needs '.join(circle)}"
