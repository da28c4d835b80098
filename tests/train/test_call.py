from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from recsys.errors import ConfigurationError
from recsys.train.call import check_call


def call(user: int | str, k: int = 10) -> None: ...


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
