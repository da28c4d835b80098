from __future__ import annotations

import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.former_names import current_key
from recsys.config.renamed import GROUPS, KEYS, REMOVED
from recsys.config.renamed_targets import TARGETS
from recsys.config.signature import locate
from recsys.config.validate import validate
from recsys.errors import ConfigurationError, RequestError


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("stage.rl.arms.rere.system.rollout.candidates=4", "this key is now train.rere.system.sampler.candidates"),
        ("+stage.sft.arms.sft.network.width=8", "stage.sft.arms.sft.network: this key is now train.sft.model"),
        ("~stage.fit.arms.gru", "~stage.fit.arms.gru: this key is now train.gru"),
        ("+arm@stage.rl.arms.mine=rere", "this is now +training@train.mine=rere"),
        ("reward@stage.rl.arms.rere.system.reward=hit", "this is now reward@train.rere.system.reward=hit"),
        ("stage.prepare.k_core=0", "stage.prepare.k_core=0: this key is now data.k_core"),
        ("+stage.prepare.ties=3", "stage.prepare.ties: this key is now data.tie_breaking"),
        ("+stage.evaluate.counts.knn={}", "stage.evaluate.counts: this key is now evaluation.baselines"),
        ("+stage.report.inputs=[sft]", "stage.report.inputs: a stage depends on all stages before it in `stages`"),
        ("+offers=[a]", "offers: this key is now provides"),
    ],
)
def test_a_former_name_is_refused_with_the_name_of_today(override: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        validate(compose(["experiment=rere/movielens_100k", "seed=1", override]))
    assert told in str(caught.value)


def test_an_argument_that_a_class_has_today_is_no_former_name(chain: DictConfig) -> None:
    chain.stage.prepare.seed = 3
    validate(chain)
    chain.stage.prepare.k_core = 3
    with pytest.raises(ConfigurationError, match=r"^stage\.prepare\.k_core: this key is now data\.k_core$"):
        validate(chain)


def test_all_of_an_old_configuration_is_told_at_once() -> None:
    old = OmegaConf.create(
        {
            "stages": ["sft"],
            "offers": ["width"],
            "stage": {
                "sft": {
                    "_target_": "recsys.train.stages.training.Training",
                    "inputs": ["prepare", "tokenize"],
                    "arms": {"sft": {"network": {"width": 8}, "system": {"_target_": "recsys.systems.rere.ReRe"}}},
                }
            },
        }
    )
    with pytest.raises(ConfigurationError) as caught:
        validate(old)
    assert str(caught.value).splitlines() == [
        "offers: this key is now provides",
        "stage.sft._target_: recsys.train.stages.training.Training is now recsys.training.train_stage.Train",
        "stage.sft.inputs: a stage depends on all stages before it in `stages`; leave this key out",
        "stage.sft.arms.sft.network: this key is now train.sft.model",
        "stage.sft.arms.sft.system._target_: recsys.systems.rere.ReRe is now "
        "recsys.systems.group_policy_optimisation.GroupPolicyOptimisation",
        "stage.sft.arms: this key is now train",
    ]


def test_a_former_group_in_a_file_of_ones_own_is_told(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "conf"
    (folder / "experiment").mkdir(parents=True)
    (folder / "train.yaml").write_text("defaults: [_self_, experiment: null]\n")
    (folder / "experiment/mine.yaml").write_text("# @package _global_\ndefaults: ['/arm@stage.rl.arms.mine: rere']\n")
    monkeypatch.setattr("recsys.config.compose.configuration_folder", lambda: folder)
    with pytest.raises(ConfigurationError, match="there is no group 'arm'; it is now 'training'"):
        compose(["experiment=mine"])


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_the_former_name_of_a_target_is_free_and_that_of_today_is_there(name: str) -> None:
    locate("_target_", TARGETS[name])
    with pytest.raises(RequestError):
        locate("_target_", name)


def test_no_name_of_today_is_a_former_one() -> None:
    assert [new for new in KEYS.values() if new and current_key(new.replace("*", "x"))] == []
    assert {old for old, new in KEYS.items() if new is None} == set(REMOVED)
    folder = configuration_folder()
    assert [group for group in GROUPS if (folder / group).exists()] == []
    assert all((folder / group).is_dir() for group in GROUPS.values())
