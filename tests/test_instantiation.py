from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from recsys.cli.main import REFUSED, main
from recsys.errors import ConfigurationError, DataError
from recsys.instantiation import PartError, make


class Raises:
    def __init__(self, error: str) -> None:
        raise {"key": KeyError, "attribute": AttributeError, "data": DataError, "type": TypeError, "value": ValueError}[
            error
        ]("what it said")


def raising(error: str) -> dict[str, Any]:
    return {"_target_": "tests.test_instantiation.Raises", "error": error}


@pytest.mark.parametrize("error", ["type", "value"])
def test_a_refused_argument_is_told_with_the_full_key(error: str) -> None:
    config = OmegaConf.create({"train": {"rere": {"_target_": "builtins.dict", "rewards": [raising(error)]}}})
    with pytest.raises(PartError) as caught:
        make(config.train.rere)
    assert str(caught.value) == "train.rere.rewards.0: what it said"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value), "processes of the bench return it"


@pytest.mark.parametrize(("error", "kind"), [("key", KeyError), ("attribute", AttributeError), ("data", DataError)])
def test_a_defect_keeps_its_traceback_and_an_error_of_data_its_words(error: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        make({"_target_": "builtins.dict", "part": raising(error)})
    assert caught.traceback[-1].name == "__init__"


def test_a_class_that_is_called_later_names_its_key_then() -> None:
    made = make({"_target_": "builtins.dict", "optimizer": {"_partial_": True, **raising("value")}}, key="train.sft")
    with pytest.raises(ConfigurationError, match=r"^train\.sft\.optimizer: what it said$"):
        made["optimizer"]()
    adam = make({"_target_": "fractions.Fraction", "_partial_": True, "denominator": 4})
    assert adam(3) == 0.75


def test_further_arguments_are_passed_on() -> None:
    assert make({"_target_": "fractions.Fraction", "denominator": 4}, 3, key="share") == 0.75
    with pytest.raises(PartError, match=r"^share: "):
        make({"_target_": "fractions.Fraction", "denominator": 4}, "three", key="share")


REWARD = ["reward@train.rere.system.reward=ndcg", "train.rere.system.reward.cutoff=0"]
MODEL = ["policy=[model_greedy]", "simulator=slate/planted"]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["train", "experiment=rere/movielens_100k", *REWARD],
            "train.rere.system.reward: cutoff=0: ",
        ),
        (["bench", *MODEL, "policies.model_greedy.scorer.temperature=0"], "policies.model_greedy.scorer: temperature"),
        (
            ["bench", "policy=[greedy]", "~features", "+features={_target_: fractions.Fraction, numerator: half}"],
            "features: Invalid literal for Fraction: 'half' (policies.greedy.scorer.features refers to it)",
        ),
    ],
)
def test_a_command_refuses_a_wrong_value_once_and_leaves_no_folder(
    command: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command) == REFUSED
    told = capsys.readouterr().err
    assert told.startswith(f"recsys {command[0]}: {message}") and len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())
