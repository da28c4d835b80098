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
    assert [name for name in before if before[name] != after[name]] == ["rl", "evaluate"]


def test_marks_do_not_depend_on_where_a_value_is_written(chain: DictConfig) -> None:
    before = marks(chain)
    chain.stage.rl.reward = {"kind": "rule", "_target_": "fake_stages.Reward"}
    assert marks(chain) == before


def test_results_and_inputs_are_known_before_a_stage_is_made(chain: DictConfig) -> None:
    assert [step.results for step in plan(chain)] == [(), (), (), ("metrics.json",)]


def test_a_stage_reads_only_what_comes_before_it(chain: DictConfig) -> None:
    chain.stages = ["prepare", "rl", "sft"]
    with pytest.raises(ConfigurationError, match=r"stage\.rl\.inputs: it reads 'sft', which does not come before 'rl'"):
        plan(chain)


def test_a_stage_goes_by_one_name(chain: DictConfig) -> None:
    chain.stage.rl.name = "sft"
    with pytest.raises(ConfigurationError, match=r"stage\.rl\.name: expected 'rl' as in `stages`, found 'sft'"):
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
