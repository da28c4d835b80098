from __future__ import annotations

import re
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.signature import locate
from recsys.config.validate import validate
from recsys.data.sources.source import SlateSource, Source
from recsys.errors import ConfigurationError


def refusal(config: DictConfig) -> str:
    with pytest.raises(ConfigurationError) as caught:
        validate(config)
    return str(caught.value)


def test_a_right_configuration_passes(chain: DictConfig) -> None:
    validate(chain)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("stage.rl.txet", "x", r"stage\.rl\.txet: Write has no argument 'txet'; did you mean 'text'\?"),
        ("reward.wieght", 1.0, r"reward\.wieght: Reward has no argument 'wieght'; did you mean 'weight'\?"),
        ("reward.weight", "much", r"reward\.weight: expected float, found 'much' \(str\)"),
        ("reward.weight", True, r"reward\.weight: expected float, found True \(bool\)"),
        ("reward.kind", "rank", r"reward\.kind: expected 'rule' or 'ranking', found 'rank'"),
        ("stage.sft.seed", 1.5, r"stage\.sft\.seed: expected int, found 1.5 \(float\)"),
        ("stage.sft.after", "prepare", r"stage\.sft\.after: expected tuple\[str, \.\.\.\], found 'prepare'"),
        ("stage.sft.after", [1], r"stage\.sft\.after: expected tuple\[str, \.\.\.\], found \[1\]"),
        ("stage.rl.reward", "rule", r"stage\.rl\.reward: expected .*Reward.*, found 'rule'"),
        ("stage.sft.text", "???", r"stage\.sft\.text: must be given"),
        ("stage.sft.text", "${nowhere}", r"stage\.sft\.text: Interpolation key 'nowhere' not found"),
        ("stage.sft._target_", "fake_stages.Wirte", r"stage\.sft\._target_: fake_stages has no 'Wirte'; .*'Write'"),
        ("stage.sft._target_", "recsys.runs.rnu.X", r"stage\.sft\._target_: there is no module 'recsys.runs.rnu'"),
        ("stage.sft._target_", "no_such.X", r"stage\.sft\._target_: there is no module 'no_such'"),
        ("stage.sft._target_", "recsys.__version__", r"stage\.sft\._target_: recsys.__version__ is a str"),
        ("stage.sft._target_", "Write", r"stage\.sft\._target_: expected the dotted name"),
        ("seed", "zero", r"seed: expected int, found 'zero'"),
        ("limit", 0, r"limit=0: expected at least 1"),
        ("stages", ["prepare", "stf"], r"stages: there is no stage\.stf; did you mean 'sft'\?"),
        ("stages", ["prepare", "prepare"], r"stages: 'prepare' is listed 2 times"),
        ("sead", 1, r"sead: nothing reads this key; did you mean 'seed'\?"),
    ],
)
def test_a_wrong_key_is_named_with_the_nearest_right_one(chain: DictConfig, key: str, value: Any, message: str) -> None:
    OmegaConf.update(chain, key, value)
    assert re.match(message, refusal(chain))


def test_all_faults_are_told_at_once(chain: DictConfig) -> None:
    chain.reward.wieght = 1
    chain.stage.rl.txet = "x"
    assert len(refusal(chain).splitlines()) == 2


def test_a_missing_argument_is_named_with_its_type(chain: DictConfig) -> None:
    del chain.stage.prepare["name"]
    assert refusal(chain) == "stage.prepare.name: missing, Write needs it (str)"


def test_a_missing_argument_is_named_where_the_node_is_written(chain: DictConfig) -> None:
    chain.reward = {"_target_": "fake_stages.needs", "second": "x"}
    assert refusal(chain) == "reward.first: missing, needs needs it (int)"
    chain.reward._partial_ = True
    validate(chain)
    chain.reward.first = "x"
    assert refusal(chain) == "reward.first: expected int, found 'x' (str)"


def test_what_the_code_makes_itself_may_miss_arguments_but_have_no_wrong_ones(chain: DictConfig) -> None:
    part = {"_target_": "fake_stages.needs", "second": "x"}
    chain.stage.sft = {"_target_": "fake_stages.Lazy", "_recursive_": False, "parts": {"first": part}}
    validate(chain)
    chain.stage.sft.parts.first.secnod = "x"
    assert "stage.sft.parts.first.secnod: needs has no argument 'secnod'" in refusal(chain)


def test_stages_that_do_not_run_are_not_looked_at(chain: DictConfig) -> None:
    chain.stage.rl.txet = "x"
    chain.stages = ["prepare", "sft"]
    validate(chain)


def test_a_package_that_is_not_installed_is_named(
    chain: DictConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_there\n\nclass Stage: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    chain.stage.sft._target_ = "needs_more.Stage"
    assert "needs_more needs the package not_there, which is not installed" in refusal(chain)


def test_a_class_method_can_be_a_target(chain: DictConfig) -> None:
    chain.reward = {"_target_": "fractions.Fraction.from_float", "f": 0.5}
    validate(chain)
    chain.reward._target_ = "fractions.Fraction.from_flaot"
    assert "did you mean 'from_float'?" in refusal(chain)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["experiment=rere/parquet", "dataset=parquet_slates", "dataset.root=x"],
            r"^dataset: ParquetSlates is of another kind than data\.source needs, which is a Source \(a source of "
            r"interactions: .*\); it has no tables; choose dataset= one of "
            r"(?!.*parquet_slates).*movielens_100k.*parquet",
        ),
        (
            ["experiment=slate/parquet", "dataset=movielens_100k"],
            r"^dataset: MovieLens is .* a SlateSource .* one of (?!.*movielens).*exposures.*simulated",
        ),
    ],
)
def test_a_source_of_the_wrong_kind_is_told_with_the_options_of_the_right_one(
    overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        validate(compose(overrides))


def test_every_option_of_dataset_says_its_kind() -> None:
    for file in (configuration_folder() / "dataset").glob("*.yaml"):
        target = locate(file.name, OmegaConf.load(file)["_target_"])
        kind = "Slates" if issubclass(target, SlateSource) else "Interactions"
        assert issubclass(target, SlateSource | Source), file
        assert file.read_text().startswith(f"# {kind}: "), file
