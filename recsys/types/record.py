"""The base of dataclasses of tensors, whose rows are selected, moved and joined field by field."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Int
from torch import Tensor

from recsys.types.jagged import Jagged

Record = TypeVar("Record", bound="TensorRecord")


class TensorRecord:
    """A dataclass of tensors with `B` rows each.

    Fields may be tensors and `Jagged` rows (both with `B` rows), other records, mappings to or tuples of any of these,
    or None. Fields of any other type, such as a name, describe the whole record and are kept as they are.
    """

    def replace(self: Record, **changes: Any) -> Record:
        """Return a copy with some fields changed.

        Args:
            changes: new values by field name.
        """
        return replace(self, **changes)  # type: ignore[type-var]

    def select(self: Record, rows: Int[Tensor, " R"]) -> Record:
        """Return the given rows, in the given order. A row may occur several times.

        Args:
            rows: `[R]`, indices from `0 .. B − 1`.

        Raises:
            TypeError: `rows` is a mask; its indices are `rows.nonzero().squeeze(1)`.
        """
        require_indices(rows)
        return self._map(lambda value: value.select(rows) if isinstance(value, Jagged) else value[rows])

    def to(self: Record, device: torch.device | str) -> Record:
        """Return the same rows on another device."""
        return self._map(lambda value: value.to(device))

    def detach(self: Record) -> Record:
        """Return the same rows without gradient."""
        return self._map(lambda value: value if isinstance(value, Jagged) else value.detach())

    def tensors(self) -> list[Tensor]:
        """Return all tensors of the record, in an order that depends on its fields only; see `with_tensors`."""
        found: list[Tensor] = []
        self._map(lambda value: (found.extend(_parts(value)), value)[1])
        return found

    def with_tensors(self: Record, tensors: Sequence[Tensor]) -> Record:
        """Return a record with the same fields and other tensors, which may have another number of rows.

        Args:
            tensors: result of `tensors` for a record with the same fields.

        Raises:
            ValueError: their number is not that of this record.
        """
        if len(tensors) != len(self.tensors()):
            raise ValueError(f"{type(self).__name__} has {len(self.tensors())} tensors, found {len(tensors)}")
        left = iter(tensors)
        return self._map(lambda value: Jagged(next(left), next(left)) if isinstance(value, Jagged) else next(left))

    @classmethod
    def cat(cls: type[Record], records: Sequence[Record]) -> Record:
        """Return the rows of several records, one record after the other.

        A field that is None in one record must be None in all. Fields that describe the whole record must be equal.

        Args:
            records: at least one record; all have the same class, which may be a subclass of this one.

        Raises:
            ValueError: there is no record, classes differ, a field is None in some records only, or fields that
                describe the whole record differ.
        """
        if not records:
            raise ValueError(f"{cls.__name__}.cat needs at least one record")
        first = records[0]
        if names := {type(one).__name__ for one in records if type(one) is not type(first)}:
            raise ValueError(f"{cls.__name__}.cat joins records of one class, found {type(first).__name__} and {names}")
        named = {
            field.name: _cat([getattr(one, field.name) for one in records], f"{type(first).__name__}.{field.name}")
            for field in fields(first)  # type: ignore[arg-type]
        }
        return replace(first, **named)  # type: ignore[type-var]

    def _map(self: Record, change: Callable[[Any], Any]) -> Record:
        named = {field.name: map_tensors(getattr(self, field.name), change) for field in fields(self)}  # type: ignore[arg-type]
        return replace(self, **named)  # type: ignore[type-var]


def require_indices(rows: Tensor) -> None:
    """Refuse a mask where indices are expected: it would select other rows of `Jagged` fields than of tensors.

    Raises:
        TypeError: `rows` is a mask.
    """
    if rows.dtype == torch.bool:
        raise TypeError("expected indices of rows, found a mask; its indices are mask.nonzero().squeeze(1)")


def _parts(value: Tensor | Jagged) -> list[Tensor]:
    return [value.values, value.offsets] if isinstance(value, Jagged) else [value]


def map_tensors(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return `value` with `change` applied to every `Tensor` and `Jagged` in it. Other parts are kept.

    Args:
        value: a tensor, `Jagged` rows, a record, a mapping or tuple of any of these, or anything else.
        change: function of each `Tensor` and `Jagged`.

    >>> map_tensors((torch.tensor(1), "name"), lambda tensor: tensor + 1)
    (tensor(2), 'name')
    """
    if isinstance(value, Tensor | Jagged):
        return change(value)
    if isinstance(value, TensorRecord):
        return value._map(change)
    if isinstance(value, Mapping):
        return {name: map_tensors(part, change) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(map_tensors(part, change) for part in value)
    return value


def _cat(values: Sequence[Any], name: str) -> Any:
    first = values[0]
    if any(type(value) is not type(first) for value in values):
        raise ValueError(f"{name}: some records have it, others lack it or have another type")
    if isinstance(first, Tensor):
        return torch.cat(list(values))
    if isinstance(first, Jagged):
        return Jagged.cat(values)
    if isinstance(first, TensorRecord):
        return type(first).cat(values)
    if isinstance(first, tuple):
        if any(len(value) != len(first) for value in values):
            raise ValueError(f"{name}: the records have different numbers of parts: {[len(value) for value in values]}")
        return tuple(_cat(parts, f"{name}[{at}]") for at, parts in enumerate(zip(*values, strict=True)))
    if isinstance(first, Mapping):
        if any(value.keys() != first.keys() for value in values):
            raise ValueError(f"{name}: the records name different parts: {[sorted(value) for value in values]}")
        return {key: _cat([value[key] for value in values], f"{name}[{key!r}]") for key in first}
    for value in values:
        if value is not first and value != first:
            raise ValueError(f"{name}: describes a whole record and must be equal in all, found {first} and {value}")
    return first
