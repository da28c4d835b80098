from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from recsys.config.compose import compose
from recsys.errors import ConfigurationError
from recsys.runs.fingerprint import plan
from recsys.training.order import dependencies, training_order
from recsys.training.train_stage import Train

NEW: dict[str, Any] = {"model": {}}
UNNAMED = {"_target_": "recsys.runs.artifacts.artifact"}


def reading(*names: str, start: str | None = None) -> dict[str, Any]:
    """A training whose system names artifacts, one of them deep inside."""
    parts = [{"_target_": "recsys.runs.artifacts.artifact", "name": name} for name in names]
    return {**({"start": start} if start else NEW), "system": {"reward": {"parts": parts}}}


def test_a_training_needs_its_start_and_what_its_configuration_names() -> None:
    assert dependencies(reading("judge", "item_vectors", "judge", start="sft")) == ["sft", "judge", "item_vectors"]
    assert dependencies(OmegaConf.create({"seed": 3, **reading("a")})) == ["a"]


def test_each_comes_after_what_it_needs_and_otherwise_as_written() -> None:
    rere = reading("judge", "item_vectors", start="sft")
    trainings = {"rere": rere, "other": NEW, "sft": NEW, "judge": reading("sft")}
    assert training_order(trainings) == ["other", "sft", "judge", "rere"]
    assert training_order({"b": NEW, "a": NEW}) == ["b", "a"]


@pytest.mark.parametrize(
    ("trainings", "message"),
    [
        ({"rere": {"start": "stf"}, "sft": NEW}, r"^train\.rere: it needs 'stf', .*; did you mean 'sft'\?$"),
        ({"rere": reading("judge")}, r"^train\.rere: it needs 'judge', which no training leaves; known: rere$"),
        (
            {"a": reading("c"), "b": reading("a"), "c": reading("b")},
            r"^train\.a: it needs itself: a needs c needs b ne",
        ),
        ({"sft": NEW, "a": reading("sft", "b"), "b": reading("b")}, r"^train\.b: it needs itself: b needs b$"),
        ({"a": {"start": "b", **NEW}, "b": NEW}, r"^train\.a: give either `model` or `start`, one of the two$"),
        ({"a": {"system": {}}}, r"^train\.a: give either `model` or `start`"),
        ({"item_vectors": NEW}, r"^train\.item_vectors: the stage `tokenize` leaves an artifact of this name$"),
        ({"a": {"start": "item_vectors"}}, r"^train\.a\.start: item vectors are no training; name one of \['a'\]$"),
        ({"a": {**NEW, "system": {"judge": UNNAMED}}}, r"^train\.a: judge: .*\.artifact needs `name`"),
        *(
            ({name: NEW}, r"^train: .* cannot be the name of a training")
            for name in ("a/b", "..", "", "../../evil", "order.json", "fingerprint.json", "[bold]x[/bold]")
        ),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(trainings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        training_order(trainings)
    with pytest.raises(ConfigurationError, match=message):
        node = OmegaConf.create({"trainings": trainings})
        Train.check_configuration(node, node)


def test_a_data_module_of_other_data_is_refused_before_anything_runs() -> None:
    data = ["dataset=exposures", "dataset.root=x", "split=slate_time", "data=slates"]
    with pytest.raises(
        ConfigurationError,
        match=r"^train\.sasrec\.data: \S+SequenceData reads Dataset, .* prepares PreparedSlates.*\(~train\.sasrec\)",
    ):
        plan(compose(["experiment=rere/parquet", *data]))
