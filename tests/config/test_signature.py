from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import pytest
from omegaconf import OmegaConf

from recsys.config.signature import check_call
from recsys.errors import ConfigurationError


def call(user: int | str, k: int = 10) -> None: ...


class Arm(TypedDict):
    network: Any
    epochs: int
    start: NotRequired[str]


def arms(arms: Mapping[str, Arm]) -> None: ...


def anything(first: int, **more: int) -> None: ...


def test_a_right_call_passes() -> None:
    check_call(OmegaConf.create({"user": "a"}), call)
    check_call(OmegaConf.create({"first": 1, "other": "x"}), anything)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"user: missing, call needs it \(int \| str\)"),
        ({"user": "???"}, "user: must be given"),
        ({"user": 1.5}, r"user: expected int \| str, found 1.5 \(float\)"),
        ({"user": 1, "K": 5}, "K: call has no argument 'K'; known: k, user"),
        ({"user": 1, "k": [5]}, r"k: expected int, found \[5\] \(list\)"),
    ],
)
def test_a_wrong_call_is_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^(?:{message})$"):
        check_call(OmegaConf.create(arguments), call)


def test_the_keys_of_a_typed_dictionary_are_looked_at_one_by_one() -> None:
    right = {"network": {"_target_": "x.Y"}, "epochs": 3, "start": "sft"}
    check_call(OmegaConf.create({"arms": {"sft": right, "rl": {"network": None, "epochs": 1}}}), arms)
    wrong = {"netwrok": 1, "epochs": 1.5, "start": 2}
    with pytest.raises(ConfigurationError) as caught:
        check_call(OmegaConf.create({"arms": {"sft": wrong}}), arms)
    assert str(caught.value).splitlines() == [
        "arms.sft.netwrok: Arm has no key 'netwrok'; did you mean 'network'?",
        "arms.sft.epochs: expected int, found 1.5 (float)",
        "arms.sft.start: expected str, found 2 (int)",
        "arms.sft.network: missing, Arm needs it (Any)",
    ]
