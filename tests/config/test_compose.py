from __future__ import annotations

from pathlib import Path

import pytest

from recsys.config import compose as reword
from recsys.config.compose import compose
from recsys.config.settings import RunSettings
from recsys.errors import ConfigurationError

FILES = {
    "train.yaml": "defaults: [_self_, {model: null}, {experiment: null}]\nseed: 0\nstage: {}\n",
    "model/small.yaml": "_target_: fake_stages.Reward\nweight: 1.0\n",
    "experiment/rere/movies.yaml": "# @package _global_\nname: rere/movies\n",
    "experiment/rere/music.yaml": "# @package _global_\nname: rere/music\n",
}
AT_DEFAULT = "this argument has its default value and is in no file"
ALL_KEYS = "known: experiment, experiment/rere, model, seed, stage"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of its own."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(reword, "configuration_folder", lambda: tmp_path)
    return tmp_path


def test_overrides_and_groups_compose(folder: Path) -> None:
    config = compose(["+more=x", "experiment=rere/movies", "model=small", "model.weight=2.0"])
    assert config == {
        "seed": 0,
        "stage": {},
        "name": "rere/movies",
        "more": "x",
        "model": {"_target_": "fake_stages.Reward", "weight": 2.0},
    }


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["sead=1"], "sead: there is no such key; did you mean 'seed'?"),
        (["model=small", "model.wieght=1"], "model.wieght: there is no such key; did you mean 'model.weight'?"),
        (["model=small", "model.kind=x"], f"model.kind: {AT_DEFAULT}; write +model.kind=… to set it"),
        (["experimnt=rere/movies"], "experimnt: there is no such key; did you mean 'experiment'?"),
        (["weight=1", "model=small"], "weight: there is no such key; did you mean 'model.weight'?"),
        (["experiment=rere/movis"], "experiment=rere/movis: there is no such experiment; did you mean 'rere/movies'?"),
        (["model=x"], "model=x: there is no such model; known: small"),
        (["stage.sft.width=1"], f"stage.sft.width: there is no such key; {ALL_KEYS}"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_named_with_the_nearest_right_one(folder: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compose(overrides)
    assert str(caught.value) == message


def test_hydra_errors_of_other_kinds_keep_their_words(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mismatched input|extraneous input|no viable"):
        compose(["seed=[1"])
    with pytest.raises(ConfigurationError, match="there is no configuration 'trian'; did you mean 'train'"):
        compose([], "trian")


@pytest.mark.parametrize(
    ("preset", "changed"),
    [
        ("limit", {"limit": 2}),
        ("overfit", {"overfit": 1}),
        ("profile", {"profiler": "simple", "limit": 100}),
    ],
)
def test_presets_change_settings_alone(preset: str, changed: dict) -> None:
    plain, config = compose(), compose([f"debug={preset}"])
    assert {key: config[key] for key in config if config[key] != plain[key]} == changed


RERE = "experiment=rere/movielens_100k"
REWARD = "train.rere.system.reward"


@pytest.mark.parametrize(
    ("command", "overrides", "message"),
    [
        ("train", [RERE, "reward=hit"], f"reward: .* write reward@{REWARD}=hit or reward@train.rere_lambda"),
        ("train", ["reward=hit"], r"reward: .* write \+reward@PACKAGE=hit"),
        ("train", [RERE, "rewrad@train.rere.system.reward=hit"], "there is no group 'rewrad'; did you mean 'reward'"),
        (
            "train",
            [RERE, f"reward@{REWARD}=ndcg", f"{REWARD}.cutof=3"],
            rf"{REWARD}\.cutof: there is no such key; did you mean '{REWARD}\.cutoff'\?",
        ),
        ("train", ["experiment=rere/feedback", "dataset.root=x"], "dataset.root: .*; known: name, path, policy"),
        ("train", [RERE, "train.rere.sytem.slots=2"], r"did you mean 'train\.rere\.system\.slots'\?"),
        ("bench", ["debug=limit"], "`recsys bench` has no such group, `recsys train` has it; write limit=2, which"),
        ("replay", ["limit=2"], "`recsys replay` has no such key, `recsys train` and `recsys bench` have it"),
        ("replay", ["debug=limit"], "`recsys replay` has no such key, `recsys train` has it$"),
        ("bench", ["experiment=rere/parquet"], "`recsys bench` has no such group, `recsys train` has it$"),
    ],
)
def test_a_key_of_elsewhere_is_told_where_it_belongs(command: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        compose(overrides, command)


def test_the_files_defaults_are_those_of_the_settings() -> None:
    assert RunSettings.of(compose()) == RunSettings()
