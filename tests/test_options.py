"""Every option of every group is used where a suggestion says, or refused with what to use instead."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig

from recsys.config.compose import compose
from recsys.config.signature import locate
from recsys.config.validate import validate
from recsys.errors import ConfigurationError
from recsys.instantiation import make
from recsys.models.generators.sasrec import SASRec
from recsys.nn.embedding import Embedding
from tests.options import CONF, PLANTED, RERE, SIMULATOR, SLATE, Use, options, uses
from tests.tiny import tiny_bundle

USES = uses()


def checked(use: Use) -> DictConfig:
    """The configuration, refused as a run would before anything runs."""
    config = compose(use.overrides, use.command)
    validate(config)
    for node in config.stage.values():
        check = getattr(locate("stage", node["_target_"]), "check_configuration", None)
        if check is not None and not (use.command == "bench" and use.option in ("policy/trained", "policy/checkpoint")):
            check(node, config)
    return config


def test_no_option_is_left_out() -> None:
    files = {str(path.relative_to(CONF).with_suffix("")) for path in CONF.rglob("*.yaml") if path.parent != CONF}
    files = {one for one in files if one.split("/")[0] != "recipe"} - {"replay/replay"}
    assert files == {use.option for use in USES}


ELSEWHERE = {
    "choice": "config/test_simulator_groups.py",
    "debug": "test_experiments.py",
    "dynamics": "config/test_simulator_groups.py",
    "experiment": "test_experiments.py",
    "objective": "config/test_groups.py",
    "reference": "config/test_groups.py",
    "replay": "replay/test_configuration.py",
    "reward": "config/test_groups.py",
    "sampler": "config/test_groups.py",
    "training": "test_experiments.py",
}
"""Groups whose options are composed and made one by one by another test."""
HERE = [one for one in USES if one.option.split("/")[0] not in {*ELSEWHERE, "policy"}]


def test_the_other_tests_are_there() -> None:
    assert all((Path(__file__).parent / one).exists() for one in ELSEWHERE.values())


@pytest.mark.parametrize("use", HERE, ids=[f"{one.command}-{one.option}" for one in HERE])
def test_an_option_is_accepted_where_it_belongs(use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.config.validate.find_spec", lambda name: name)  # extras may be missing here
    checked(use)


def test_every_policy_of_the_bench_shows_a_slate_in_one_simulator() -> None:
    names = [one for one in options("policy") if one not in ("trained", "checkpoint")]
    checked(Use("", "bench", (PLANTED, f"policy=[{','.join(names)}]")))


def test_every_objective_is_tried_where_it_belongs() -> None:
    rere = [one for one in USES if one.option.startswith("objective/") and one.overrides[0] == RERE]
    given = []
    for use in rere:
        name = "of_" + use.option.rpartition("/")[2]
        training = "sft" if "train.sft" in use.overrides[-1] else "rere"
        given.append(f"+training@train.{name}={training}")
        given += [re.sub(r"train\.\w+", f"train.{name}", one) for one in use.overrides[1:]]
    checked(Use("", "train", (RERE, *given)))


@pytest.mark.parametrize("option", options("embedding"))
def test_an_embedding_makes_the_tables_of_a_network(option: str) -> None:
    config = compose([RERE, f"embedding@train.sasrec.model.embedding={option}", "train.sasrec.model.width=8"])
    network = make(config.train.sasrec.model, tiny_bundle())
    assert isinstance(network, SASRec) and isinstance(network.embedding, Embedding)


@pytest.mark.parametrize("override", ["items=sentence", "embedding@network.embedding=torchrec"])
def test_a_package_that_is_missing_is_named_with_how_to_install_it(
    override: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.config.validate.find_spec", lambda name: None)
    for package in ("torchrec", "sentence_transformers"):
        monkeypatch.delitem(sys.modules, package, raising=False)
    with pytest.raises(ConfigurationError, match=r"needs the package \w+, which is not installed: .*(pip|make)"):
        validate(compose([RERE, override]))


KINDS = [
    (RERE, "objective@train.rere.system.objective=proximal_policy_optimisation", r"choose objective@train\.rere.*dapo"),
    (
        RERE,
        "objective@train.sft.system.objective=dapo",
        r"one of catalogue_cross_entropy, item_cross_entropy, legal_set_cross_entropy$",
    ),
    (SIMULATOR, "objective@train.actor_critic.system.objective=dpo", r"one of advantage_actor_critic, proximal"),
    (
        RERE,
        "objective@train.rere_lambda.system.objective=dpo",
        r"rere_lambda\.system\.objective: dpo compares with",
    ),
    (RERE, "objective@train.rere.system.objective=without_replacement", r"sample the group by stochastic beam search"),
    (RERE, "split=slate_users", r"split: .*choose split= one of global_time, leave_one_out"),
    (SLATE, "split=leave_one_out", r"split: .*choose split= one of slate_time, slate_users"),
    (RERE, "dataset=simulated_slates", r"choose dataset= one of feedback, movielens_100k"),
    (RERE, "evaluation=forecast", r"evaluation: .*reads PreparedSlates, `data` prepares Dataset"),
    (RERE, "evaluation.references=[sfft]", r"references: there is no 'sfft'; did you mean 'sft'"),
    (RERE, "report=forecast", r"report\.cards: .*reads PreparedSlates, `data` prepares Dataset"),
    (SIMULATOR, "evaluation.references=[rndom]", r"references: there is no 'rndom'; did you mean 'random'"),
    (
        SIMULATOR,
        "+report.trade_off.lines.greed=[greedi]",
        r"report\.trade_off\.lines\.greed: there is no 'greedi'; did you mean 'greedy'",
    ),
    (SIMULATOR, "evaluation.novelty_threshold=-1", r"evaluation: novelty_threshold=-1: expected at least 0"),
    (SIMULATOR, "+learner.nope=3", r"^learner\.nope: nothing reads this key"),
    (SIMULATOR, "+learner.objective.no_such_key=1", r"^learner\.objective\.no_such_key: nothing reads this key"),
]


@pytest.mark.parametrize(("experiment", "override", "said"), KINDS, ids=[one[1] for one in KINDS])
def test_what_cannot_be_used_is_refused_with_what_can(experiment: str, override: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        checked(Use("", "train", (experiment, override)))
    assert re.search(said, str(refused.value)), str(refused.value)


@pytest.mark.parametrize(
    ("command", "override"),
    [
        ("bench", "+learner.nope=3"),
        ("replay", "+log.nope=3"),
        ("replay", "+policy.nope=1"),
    ],
)
def test_a_key_that_nothing_reads_is_refused_below_what_is_provided(command: str, override: str) -> None:
    base = {"bench": [PLANTED, "policy=random"], "replay": []}[command]
    validate(compose(base, command))
    with pytest.raises(ConfigurationError, match="nothing reads this key"):
        validate(compose([*base, override], command))


SUGGESTED = [
    ("reward", "semantic"),
    ("objective", "dpo"),
    ("objective", "legal_set_cross_entropy"),
    ("embedding", "torchrec"),
]


@pytest.mark.parametrize(("group", "option"), SUGGESTED)
def test_what_a_suggestion_says_to_write_is_accepted(group: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.config.validate.find_spec", lambda name: name)
    with pytest.raises(ConfigurationError) as told:
        compose([RERE, f"{group}={option}"])
    advice = str(told.value).partition("; write ")[2].split(" or ")
    assert advice[0].startswith(f"{group}@train.") or advice[0].startswith(f"{group}@network.")
    validate(compose([RERE, *advice]))


def test_no_suggestion_is_made_where_nothing_takes_an_option() -> None:
    with pytest.raises(ConfigurationError, match=r"no part of this configuration takes objective=dpo; it goes with"):
        compose([SIMULATOR, "objective=dpo"])
