"""Parts of one's own that break their contract are refused with the class, the method and what was expected."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.bench.comparison import compare
from recsys.cli.main import DONE, REFUSED, main
from recsys.config.compose import compose
from recsys.config.validate import validate
from recsys.errors import ConfigurationError, ContractError
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.rewards.contract import checked_reward
from recsys.types.slates import Slates
from tests.in_process import played_here as played_here
from tests.replay.feedback_files import action_table, written

FEW = ["users=4", "steps=2", "seeds=1", "processes=1"]

BENCH = [
    ("simulator", "WithoutStep", "simulator: WithoutStep is no Simulator: it has no observe(state); "),
    ("simulator", "ObservesNothing", "ObservesNothing.observe returned None, expected a Context"),
    ("simulator", "AnswersTwo", "AnswersTwo.step returned 2 values, expected the state, the Feedback, and done"),
    ("simulator", "AnswersNone", "AnswersNone.step returned a NoneType in the place of feedback, expected"),
    ("simulator", "FlatVectors", "FlatVectors.vectors returned torch.float32 [2, 2], expected floats [2, 2, any]"),
    (
        "policy",
        "WithoutSample",
        "policies.own: WithoutSample is no Policy: it has no sample(context, ",
    ),
    ("policy", "SamplesNone", "policies.own: SamplesNone.sample returned None, expected Slates"),
    ("policy", "WithoutGenerator", "its method is sample(context"),
]


@pytest.mark.parametrize(("part", "name", "said"), BENCH, ids=[one[1] for one in BENCH])
def test_the_bench_refuses_what_breaks_its_contract(
    part: str, name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = f"tests.own_parts.{name}"
    given = f"simulator._target_={target}" if part == "simulator" else f"+policies.own={{_target_: {target}}}"
    assert main(["bench", f"root={tmp_path}", "policy=[random]", given, *FEW]) == REFUSED
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("policy", ["linucb", "slate_thompson", "popularity"])
def test_a_policy_of_features_is_refused_where_the_simulator_has_others(
    policy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = "simulator._target_=tests.own_parts.Bare"
    assert main(["bench", f"root={tmp_path}", own, f"policy=[random,{policy}]", *FEW]) == REFUSED
    assert f"policies.{policy}: TopicFeatures reads a InterestContext, found a Context" in capsys.readouterr().err


def test_what_the_protocols_ask_for_is_enough(tmp_path: Path, played_here: None) -> None:
    own = ["simulator._target_=tests.own_parts.Bare", "+policies.own={_target_: tests.own_parts.First}"]
    assert main(["bench", f"root={tmp_path}", *own, "policy=[random]", *FEW]) == DONE


def test_another_default_precision_is_refused() -> None:
    from recsys.simulate.interest_evolution import InterestEvolution

    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(ConfigurationError, match=r"default precision is torch\.float64, expected torch\.float32"):
            compare(InterestEvolution, {"random": partial(UniformPolicy, 10)}, users=2, steps=1, seeds=1)
    finally:
        torch.set_default_dtype(before)


SLATES = Slates(torch.tensor([[[4], [5]]]), torch.zeros(1, 2, 1))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "returned None"),
        (1.0, "returned a float"),
        (torch.ones(1, 2, dtype=torch.int64), r"returned torch\.int64 \[1, 2\]"),
        (torch.ones(2), r"returned torch\.float32 \[2\]"),
        (torch.ones(1, 2, 3), r"returned torch\.float32 \[1, 2, 3\]"),
    ],
)
def test_a_reward_of_another_kind_is_refused(found: Any, said: str) -> None:
    with pytest.raises(ContractError, match=rf"the reward Own {said}, expected floats \[1, 2\] or \[1, 2, 1\]"):
        checked_reward(found, SLATES, "Own")


def test_a_reward_in_double_precision_is_taken_in_that_of_the_policy() -> None:
    assert checked_reward(torch.ones(1, 2, dtype=torch.float64), SLATES, "Own").dtype is torch.float32


def test_an_estimator_that_lacks_a_method_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = written(action_table(60), tmp_path / "log.parquet")
    own = "+estimators.own={_target_: tests.own_parts.ValueAlone}"
    assert main(["replay", f"root={tmp_path / 'runs'}", "log=parquet", f"log.path={log}", own]) == REFUSED
    shown = capsys.readouterr().err
    assert "estimators.own: ValueAlone is no Estimator: it has no attribute terms; it has no weight(batch)" in shown


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["~items.quantizer.levels", "items.quantizer._target_=tests.own_parts.CodesWithoutDecode"],
            r"items\.quantizer: CodesWithoutDecode is of another kind .* it has no fit_encode, encode, decode",
        ),
        (
            ["~dataset.version", "~dataset.root", "dataset._target_=tests.own_parts.WithoutTables"],
            r"dataset: WithoutTables is of another kind .* it has no tables; choose dataset= one of",
        ),
    ],
)
def test_a_part_of_a_training_that_lacks_methods_is_refused(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        validate(compose(["experiment=rere/movielens_100k", *overrides]))
