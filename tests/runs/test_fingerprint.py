from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.errors import ConfigurationError
from recsys.runs.fingerprint import configuration_fingerprint, fingerprint, is_fresh, mark_fresh, plan


def marks(chain: DictConfig) -> dict[str, str]:
    return {step.name: step.fingerprint for step in plan(chain)}


def test_a_change_moves_the_marks_of_what_depends_on_it(chain: DictConfig) -> None:
    before = marks(chain)
    chain.reward.weight = 2.0
    after = marks(chain)
    assert [name for name in before if before[name] != after[name]] == ["rl", "evaluate"], "itself and all after it"


def test_marks_do_not_depend_on_where_a_value_is_written(chain: DictConfig) -> None:
    before = marks(chain)
    chain.stage.rl.reward = {"kind": "rule", "_target_": "fake_stages.Reward"}
    assert marks(chain) == before


def test_results_are_known_before_a_stage_is_made(chain: DictConfig) -> None:
    assert [step.results for step in plan(chain)] == [(), (), (), ("metrics.json",)]


def test_a_stage_depends_on_all_before_it_and_their_order(chain: DictConfig) -> None:
    before = marks(chain)
    chain.stages = ["sft", "prepare", "rl", "evaluate"]
    assert all(before[name] != mark for name, mark in marks(chain).items())
    chain.stages = ["prepare", "sft", "evaluate"]
    after = marks(chain)
    assert [name for name in after if before[name] != after[name]] == ["evaluate"]


def test_a_stage_goes_by_one_name(chain: DictConfig) -> None:
    chain.stage.rl.name = "sft"
    with pytest.raises(ConfigurationError, match=r"stages: expected 'sft' as the name of stage\.rl, found 'rl'"):
        plan(chain)


def test_a_stage_can_refuse_its_configuration_before_anything_runs(chain: DictConfig) -> None:
    chain.stage.sft = {"_target_": "recsys.training.train_stage.Train", "trainings": {"a": {"start": "b"}}}
    chain.stages = ["prepare", "train"]
    chain.stage.train = chain.stage.sft
    with pytest.raises(ConfigurationError, match=r"train\.a: it needs 'b', which no training leaves"):
        plan(chain)


def test_where_a_run_lies_is_not_what_it_is(chain: DictConfig) -> None:
    before = configuration_fingerprint(chain)
    chain.update({"root": "elsewhere", "run": "there", "resume": True})
    assert configuration_fingerprint(chain) == before
    chain.seed = 1
    assert configuration_fingerprint(chain) != before


def test_a_configuration_and_its_plain_values_have_one_fingerprint() -> None:
    config = OmegaConf.create({"a": {"b": 1, "c": "${a.b}"}})
    assert fingerprint(config, 1) == fingerprint({"a": {"b": 1, "c": 1}}, 1)
    assert fingerprint(config, 1) != fingerprint(config, 2)


def test_a_marker_cut_short_is_no_marker(tmp_path: Path) -> None:
    assert not is_fresh(tmp_path, "a")
    mark_fresh(tmp_path, "a")
    assert is_fresh(tmp_path, "a")
    assert not is_fresh(tmp_path, "b")
    (tmp_path / "fingerprint.json").write_text('{"fingerpr')
    assert not is_fresh(tmp_path, "a")
    assert [one.name for one in tmp_path.iterdir()] == ["fingerprint.json"]
