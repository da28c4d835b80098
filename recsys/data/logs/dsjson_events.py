"""Parse lines of VowpalWabbit's dsjson into columns."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recsys.errors import DataError

logger = logging.getLogger(__name__)


@dataclass
class DSJsonEvents:
    """Events of one kind, as columns.

    Args:
        kind: "cb" (one action), "ccb" (slots with rewards of their own) or "slates" (one reward).
        columns: columns of the canonical table, one value an event.
        features: shared features of each event, numbers by name.
        lines: line of the file of each event, from 0.
        left_out: lines that are no event to learn from, by reason.
    """

    kind: str
    columns: dict[str, list[Any]] = field(default_factory=dict)
    features: list[dict[str, float]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)


def read_events(path: Path, identifier: str | None) -> DSJsonEvents:
    """Return the events of a file.

    Args:
        path: path of the file.
        identifier: key of an action's id; see `recsys.data.logs.dsjson.DSJson`.

    Raises:
        DataError: a line is no JSON or lacks a part, kinds of events are mixed, or the share of dropped events varies.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file")
    events, left_out, dropped = DSJsonEvents(""), Counter[str](), {}
    with path.open(encoding="utf-8") as stream:
        for number, line in enumerate(stream):
            where = f"{path}, row {number} (from 0)"
            event = _parsed(line, where)
            reason = _no_event(event)
            if reason is not None:
                left_out[reason] += bool(line.strip())
                continue
            assert event is not None
            _add(events, event, number, identifier, where)
            dropped[event.get("pdrop", 0.0)] = where
    if not events.lines:
        raise DataError(f"{path}: no line holds a decision with its outcome")
    if len(dropped) > 1:
        rates = ", ".join(str(rate) for rate in dropped)
        raise DataError(f"{path}: `pdrop` takes several values ({rates}), so that events do not count alike: split it")
    events.left_out = {reason: count for reason, count in left_out.items() if count}
    if events.left_out:
        told = ", ".join(f"{count:,} ({reason})" for reason, count in events.left_out.items())
        logger.warning("%s: left out %s", path, told)
    return events


def shared_features(context: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the features of an event as numbers; a text becomes a 1 under its own name.

    >>> dict(shared_features({"user": {"age": 7, "city": "Oslo"}, "_multi": [{"x": 1}]}))
    {'user.age': 7.0, 'user.city=Oslo': 1.0}
    """
    for name, value in context.items():
        if name.startswith("_"):
            continue
        yield from _feature(f"{prefix}{name}", value)


def _feature(name: str, value: Any) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        yield from shared_features(value, f"{name}.")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _feature(name if isinstance(inner, Mapping) else f"{name}.{place}", inner)
    elif isinstance(value, str):
        yield f"{name}={value}", 1.0
    elif value is not None:
        yield name, float(value)


def _parsed(line: str, where: str) -> dict[str, Any] | None:
    if not line.strip():
        return None
    try:
        event = json.loads(line)
    except json.JSONDecodeError as problem:
        raise DataError(f"{where}: no JSON ({problem}): one event is expected in each line") from problem
    if not isinstance(event, dict):
        raise DataError(f"{where}: {str(event)[:80]} is no event, expected an object in each line")
    return event


def _no_event(event: Mapping[str, Any] | None) -> str | None:
    if event is None or not isinstance(event.get("c"), Mapping):
        return "lines without a decision"
    if event.get("_skipLearn") or event.get("skipLearn"):
        return "events not to learn from"
    return None


def _add(events: DSJsonEvents, event: Mapping[str, Any], number: int, identifier: str | None, where: str) -> None:
    offered = event["c"].get("_multi") or []
    several = "slates" if any("_slot_id" in action for action in offered) else "ccb"
    kind = several if "_outcomes" in event else "cb"
    if events.kind not in ("", kind):
        raise DataError(f"{where}: an event of kind {kind!r} among those of kind {events.kind!r}: split the file")
    events.kind = kind
    ids = [_id(action, place, identifier, where) for place, action in enumerate(offered)]
    if len(set(ids)) < len(ids):
        raise DataError(f"{where}: `_multi` offers an action twice, expected each {identifier!r} once")
    try:
        row = _bandit(event, ids) if kind == "cb" else _slots(event, offered, ids, kind)
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        wanted = "_label_cost, _labelIndex, _label_probability" if kind == "cb" else "_outcomes with _a, _p and a cost"
        raise DataError(f"{where}: {type(problem).__name__} {problem}; expected {wanted}, within `_multi`") from problem
    for name, value in {"request_id": event.get("EventId"), "candidates": ids, **row}.items():
        events.columns.setdefault(name, []).append(value)
    events.features.append(dict(shared_features(event["c"])))
    events.lines.append(number)


def _id(action: Mapping[str, Any], place: int, identifier: str | None, where: str) -> Any:
    if identifier is None:
        return place
    found: Any = action
    for name in identifier.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is None:
        raise DataError(f"{where}: action {place} of `_multi` has no {identifier!r}: name another identifier")
    return found


def _bandit(event: Mapping[str, Any], ids: list[Any]) -> dict[str, Any]:
    chosen = event["_labelIndex"] if "_labelIndex" in event else event["_label_Action"] - 1
    return {
        "action": _at(ids, chosen),
        "reward": -float(event["_label_cost"]),
        "propensity": float(event["_label_probability"]),
    }


def _slots(event: Mapping[str, Any], offered: list[Mapping[str, Any]], ids: list[Any], kind: str) -> dict[str, Any]:
    chosen, propensities, rewards = [], [], []
    for slot, outcome in enumerate(event["_outcomes"]):
        own = ids
        if kind == "slates":
            own = [name for name, action in zip(ids, offered, strict=True) if action["_slot_id"] == slot]
        chosen.append(_at(own, _first(outcome["_a"])))
        propensities.append(float(_first(outcome["_p"])))
        if kind == "ccb":
            rewards.append(-float(outcome["_label_cost"]))
    row: dict[str, Any] = {"slate": chosen, "prefix_propensities": propensities}
    if kind == "ccb":
        return row | {"rewards": rewards}
    return row | {"slot_propensities": propensities, "reward": -float(event["_label_cost"])}


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) else value


def _at(ids: list[Any], place: int) -> Any:
    if place < 0:
        raise IndexError(f"action {place} is before the first")
    return ids[place]
