from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from recsys.types.context import Context
from recsys.types.example import Example
from recsys.types.feedback import Channel, ChannelKind, Feedback
from recsys.types.jagged import Jagged
from recsys.types.preference_pairs import PreferencePairs
from recsys.types.record import TensorRecord, require_indices
from recsys.types.slates import SamplingMethod, Slates


@dataclass(frozen=True)
class AgedContext(Context):
    """A context that shows one thing more."""

    age: Tensor | None = None


Parts = tuple[bool, bool, bool, int, int]
"""Whether there are candidates, a propensity and slot feedback; slates a request and slots a slate."""
PARTS = st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 3), st.integers(0, 3))
SEEDS = st.integers(0, 2**20)


def jagged(rows: int, rng: torch.Generator) -> Jagged:
    lengths = torch.randint(0, 4, (rows,), generator=rng)
    return Jagged.from_lengths(torch.randint(0, 99, (int(lengths.sum()),), generator=rng), lengths)


def example(rows: int, parts: Parts, seed: int) -> Example:
    """Every kind of field: tensors, jagged rows, records in records, mappings to either, None, what has no rows."""
    candidates, propensity, slots, size, width = parts
    rng = torch.Generator().manual_seed(seed)
    shape = (rows, size, width)
    context = AgedContext(
        users=torch.randint(0, 99, (rows,), generator=rng),
        history=jagged(rows, rng),
        excluded=jagged(rows, rng),
        candidates=jagged(rows, rng) if candidates else None,
        features={"vector": torch.randn(rows, 2, generator=rng), "hour": torch.randint(0, 24, (rows,), generator=rng)},
        age=torch.randint(0, 99, (rows,), generator=rng),
    )
    slates = Slates(torch.randint(0, 99, shape, generator=rng), torch.randn(shape, generator=rng), SamplingMethod.TOP)
    channels = {"click": Channel(torch.randn(shape[: 3 if slots else 2], generator=rng), ChannelKind.BINARY)}
    return Example(context, slates, Feedback(channels, torch.rand(shape[:2], generator=rng) if propensity else None))


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every part of a record that is not a record or mapping itself, by its path."""
    if isinstance(value, TensorRecord):
        for field in fields(value):  # type: ignore[arg-type]
            yield from leaves(getattr(value, field.name), f"{name}.{field.name}")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from leaves(part, f"{name}[{key}]")
    else:
        yield name, value


def lists(value: Any) -> Any:
    """A leaf as lists, a row each where it has rows."""
    if isinstance(value, Jagged):
        return [row.tolist() for row in value.values.split(value.lengths.tolist())]
    return value.tolist() if isinstance(value, Tensor) else value


def content(record: TensorRecord) -> dict[str, Any]:
    return {name: lists(value) for name, value in leaves(record)}


@settings(max_examples=60)
@given(st.integers(1, 5), PARTS, SEEDS, st.data())
def test_select_takes_the_rows_of_every_part_along(rows: int, parts: Parts, seed: int, data: st.DataObject) -> None:
    index = data.draw(st.lists(st.integers(0, rows - 1), max_size=7))
    record = example(rows, parts, seed)
    before, after = content(record), content(record.select(torch.tensor(index, dtype=torch.int64)))
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == ([value[row] for row in index] if isinstance(value, list) else value), name


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 4), SEEDS), min_size=1, max_size=4), PARTS)
def test_cat_is_the_rows_of_one_after_those_of_the_other(sizes: list[tuple[int, int]], parts: Parts) -> None:
    records = [example(rows, parts, seed) for rows, seed in sizes]
    joined = Example.cat(records)
    assert len(joined) == sum(rows for rows, _ in sizes) and type(joined.context) is AgedContext
    every = [content(one) for one in records]
    for name, value in content(joined).items():
        rows = [row for one in every for row in one[name]] if isinstance(value, list) else every[0][name]
        assert value == rows, name


@given(st.integers(0, 4), PARTS, SEEDS)
def test_to_and_detach_reach_every_part(rows: int, parts: Parts, seed: int) -> None:
    record = example(rows, parts, seed)
    scored = record.replace(slates=record.slates.replace(log_prob=record.slates.log_prob.requires_grad_()))
    assert scored.slates.log_prob.requires_grad and not scored.detach().slates.log_prob.requires_grad
    assert content(scored.detach()) == content(record)
    for name, value in leaves(record.to("meta")):
        assert not isinstance(value, Tensor) or value.is_meta, name
        assert not isinstance(value, Jagged) or (value.values.is_meta and value.offsets.is_meta), name


@given(rows=st.integers(0, 4), parts=PARTS, seed=SEEDS)
def test_a_record_is_rebuilt_from_its_tensors_by_any_other_with_its_fields(rows: int, parts: Parts, seed: int) -> None:
    record, other = example(rows, parts, seed), example(2, parts, seed + 1)
    assert content(other.with_tensors(record.tensors())) == content(record)
    with pytest.raises(ValueError, match=f"Example has {len(record.tensors())} tensors, found 1"):
        other.with_tensors(record.tensors()[:1])


def test_replace_changes_the_named_fields_of_a_copy() -> None:
    record = example(3, (True, True, True, 2, 2), 0)
    free = record.context.replace(candidates=None)
    assert free.candidates is None and record.context.candidates is not None
    assert isinstance(free, AgedContext) and free.age is record.context.age
    with pytest.raises(TypeError):
        record.replace(answer=1)


def test_records_that_differ_in_their_parts_are_not_joined() -> None:
    whole, bare = example(2, (True, True, False, 2, 2), 0), example(2, (False, True, False, 2, 2), 1)
    with pytest.raises(ValueError, match=r"AgedContext\.candidates: some records have it"):
        Example.cat([whole, bare])
    other = whole.replace(feedback=Feedback({"like": Channel(torch.zeros(2, 2))}, whole.feedback.propensity))
    with pytest.raises(ValueError, match="name different parts"):
        Example.cat([whole, other])
    with pytest.raises(ValueError, match="at least one record"):
        Example.cat([])


def test_records_of_different_classes_are_not_joined() -> None:
    aged = example(2, (True, True, True, 1, 1), 0).context
    plain = Context(aged.users, aged.history, aged.excluded, aged.candidates, aged.features)
    with pytest.raises(ValueError, match="AgedContext"):
        Context.cat([aged, plain])


def test_a_subclass_keeps_its_own_fields_whatever_class_joins() -> None:
    aged = example(2, (True, True, True, 1, 1), 0).context
    joined = Context.cat([aged, aged])
    assert isinstance(joined, AgedContext) and joined.age is not None and joined.age.shape == (4,)


def test_what_belongs_to_the_whole_record_must_agree() -> None:
    found = example(2, (True, True, True, 1, 1), 0).slates
    drawn = found.replace(sampling_method=SamplingMethod.SAMPLE)
    with pytest.raises(ValueError, match=r"Slates\.sampling_method"):
        Slates.cat([found, drawn])


def test_pairs_travel_with_their_weights() -> None:
    one = example(3, (True, False, False, 1, 2), 0)
    pairs = PreferencePairs(one.context, one.slates, one.slates.replace(items=one.slates.items + 1), torch.arange(3.0))
    turned = PreferencePairs.cat([pairs, pairs]).select(torch.tensor([5, 0]))
    assert turned.weight.tolist() == [2, 0]
    assert torch.equal(turned.worse.items - turned.better.items, torch.ones_like(turned.better.items))


def test_a_mask_is_no_selection() -> None:
    """It would select other rows of jagged fields than of tensors."""
    require_indices(torch.tensor([1, 0]))
    with pytest.raises(TypeError, match=r"found a mask; its indices are mask.nonzero"):
        require_indices(torch.tensor([True, False]))
