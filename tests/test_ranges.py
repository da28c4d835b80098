"""Numbers outside their range are refused where a part is configured, with its key, exit code 2 and one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from recsys.cli.main import REFUSED, main
from recsys.config.compose import compose
from recsys.config.validate import validate
from recsys.errors import ConfigurationError
from recsys.instantiation import make
from tests.tiny import tiny_bundle

PLANTED, SATISFACTION, BUBBLE = (f"simulator=slate/{name}" for name in ("planted", "satisfaction", "bubble"))

BENCH = [
    ("policies.epsilon_greedy.epsilon=3", [], "policies.epsilon_greedy: epsilon=3: expected in [0, 1]"),
    ("policies.epsilon_greedy.epsilon=-0.1", [], "policies.epsilon_greedy: epsilon=-0.1: expected in [0, 1]"),
    ("policies.linucb.scorer.width=-1", [], "policies.linucb.scorer: width=-1: expected at least 0"),
    ("+policies.greedy.scorer.noise=0", [], "policies.greedy.scorer: noise=0: expected above 0"),
    ("+policies.greedy.scorer.prior=-1", [], "policies.greedy.scorer: prior=-1: expected above 0"),
    ("+policies.greedy.scorer.pool=0", [], "policies.greedy.scorer: pool=0: expected at least 1"),
    ("+policies.bernoulli_thompson.posterior.clicks=0", [], "bernoulli_thompson.posterior: clicks=0: expected above 0"),
    ("policies.random.num_items=0", [], "policies.random: num_items=0: expected at least 1"),
    ("simulator.num_items=0", [], "simulator: num_items=0: expected at least 1"),
    ("+simulator.topics=0", [], "simulator: topics=0: expected at least 1"),
    ("+simulator.budget=-1", [], "simulator: budget=-1: expected above 0"),
    ("+simulator.penalty=-1", [], "simulator: penalty=-1: expected at least 0"),
    ("+simulator.memory=1", [SATISFACTION], "simulator: memory=1: expected in [0, 1)"),
    ("+simulator.steps=0", [SATISFACTION], "simulator: steps=0: expected at least 1"),
    ("+simulator.innovation=-1", [SATISFACTION], "simulator: innovation=-1: expected at least 0"),
    ("simulator.groups=0", [PLANTED], "simulator: groups=0: expected at least 1"),
    ("+simulator.spread=-1", [PLANTED], "simulator: spread=-1: expected at least 0"),
    ("+simulator.recent=0", [PLANTED], "simulator: recent=0: expected at least 1"),
    ("simulator.sharpness=-1", [BUBBLE], "simulator: sharpness=-1: expected at least 0"),
    ("simulator.choice.attention=2", ["choice=cascade"], "simulator.choice: attention=2: expected in [0, 1]"),
    (
        "simulator.choice.persistence=[0.5,2]",
        ["choice=dependent_click"],
        "choice: persistence[1]=2: expected in",
    ),
    (
        "simulator.choice.examination=[]",
        ["choice=position_based"],
        "choice: examination=[]: expected a value",
    ),
    ("simulator.choice.no_click=-2", ["choice=multinomial_proportional"], "no_click=-2: expected at least -1.0"),
    ("simulator.dynamics.gamma=1.2", [PLANTED, "dynamics=gamma_linear"], "simulator.dynamics: gamma=1.2: expected in"),
    ("simulator.dynamics.width=0", [PLANTED, "dynamics=recurrent"], "simulator.dynamics: width=0: expected at"),
    (
        "simulator.dynamics.gain=-1",
        [PLANTED, "dynamics=reinforcing"],
        "simulator.dynamics: gain=-1: expected at",
    ),
    ("learner.temperature=-1", [PLANTED], "policies.model_greedy.scorer: temperature=-1: expected above 0"),
    ("learner.steps=0", [PLANTED], "policies.model_greedy.scorer: steps=0: expected at least 1"),
    ("learner.centre=0", [PLANTED], "item_vectors: centre=0: expected above 0"),
    ("learner.initial_deviation=0", [PLANTED], "model_greedy.scorer.model.initial_state: prior=0: expected above 0"),
    *((f"{key}=0", [], f"{key}=0: expected at least 1") for key in ("users", "steps", "slots", "seeds")),
    ("processes=-1", [], "processes=-1: expected at least 0"),
    ("slot_draws=-1", [], "slot_draws=-1: expected at least 0"),
    ("novelty_threshold=-0.1", [], "novelty_threshold=-0.1: expected at least 0"),
    ("limit=0", [], "limit=0: expected at least 1"),
]


@pytest.mark.parametrize(("override", "more", "said"), BENCH, ids=[one[0] for one in BENCH])
def test_a_wrong_number_of_the_bench_is_one_sentence(
    override: str, more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policies = ["random", "greedy", "epsilon_greedy", "linucb", "bernoulli_thompson"]
    if "learner" in override:
        policies = ["random", "model_greedy"]
    assert main(["bench", f"policy=[{','.join(policies)}]", f"root={tmp_path}", *more, override]) == REFUSED
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown and len(shown) < 400
    assert not list(tmp_path.glob("**/record.pt"))


ITEMS = [
    ("cooccurrence", "encoder.dimensions=0", "items.encoder: dimensions=0: expected at least 1"),
    ("cooccurrence", "+encoder.window=0", "items.encoder: window=0: expected at least 1"),
    ("cooccurrence", "+encoder.smoothing=2", "items.encoder: smoothing=2: expected in [0, 1]"),
    ("cooccurrence", "quantizer.codes=0", "items.quantizer: codes=0: expected at least 1"),
    ("text", "+encoder.min_items=0", "items.encoder: min_items=0: expected at least 1"),
    ("text", "quantizer.levels=0", "items.quantizer: levels=0: expected at least 1"),
    ("rq_vae", "+quantizer.learning_rate=-1", "items.quantizer: learning_rate=-1: expected above 0"),
    ("rq_vae", "+quantizer.epochs=-1", "items.quantizer: epochs=-1: expected at least 0"),
    ("sentence", "+encoder.batch_size=0", "items.encoder: batch_size=0: expected at least 1"),
]


@pytest.mark.parametrize(("option", "override", "said"), ITEMS, ids=[f"{one[0]}-{one[1]}" for one in ITEMS])
def test_a_wrong_number_of_items_is_named_with_its_key(option: str, override: str, said: str) -> None:
    added = "+" if override.startswith("+") else ""
    override = f"{added}items.{override.removeprefix('+')}"
    config = compose(["experiment=rere/movielens_100k", f"items={option}", override])
    with pytest.raises(ConfigurationError, match=r"expected") as refused:
        make(config["items"])
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"width": 0}, "width=0: expected at least 1"),
        ({"layers": 0}, "layers=0: expected at least 1"),
        ({"heads": 0}, "heads=0: expected at least 1"),
        ({"max_length": 0}, "max_length=0: expected at least 1"),
        ({"dropout": 1.0}, "dropout=1.0: expected in [0, 1)"),
        ({"dropout": -0.5}, "dropout=-0.5: expected in [0, 1)"),
    ],
)
@pytest.mark.parametrize("network", ["causal", "sasrec", "encoder_decoder", "lazy_session"])
def test_a_wrong_number_of_a_network_is_named(network: str, values: dict[str, float], said: str) -> None:
    bundle = tiny_bundle()
    target = compose(["experiment=rere/movielens_100k", f"network={network}"])["network"]["_target_"]
    with pytest.raises(ConfigurationError) as refused:
        make({"_target_": target, **values}, bundle, key="network")
    assert said in str(refused.value)


ANY_SIGN = {
    "recsys.data.sources.rated.RatedExposures.liked": "ratings of any scale",
    "recsys.rewards.labels.SlotShare.threshold": "feedback of any sign",
    "recsys.data.datasets.preparation.SequencePreparation.min_rating": "ratings of any scale",
    "recsys.replay.intervals.methods.AnytimeValid.low": "rewards of any sign",
    "recsys.replay.intervals.methods.EmpiricalBernstein.low": "rewards of any sign",
    "recsys.rewards.combined.ThresholdedReward.threshold": "a cosine, or another gate's unit",
    "recsys.rewards.frozen_model.CollaborativeReward.floor": "a log-probability, which is negative",
    "recsys.simulate.choice_models.MultinomialLogit.no_click": "a score, or −inf for no such choice",
    "recsys.simulate.choice_models.MultinomialProportional.least": "a score",
    "recsys.simulate.long_term_satisfaction.LongTermSatisfaction.sensitivity": "a slope",
    "recsys.simulate.long_term_satisfaction.LongTermSatisfaction.chocolate_mean": "a mean",
    "recsys.simulate.long_term_satisfaction.LongTermSatisfaction.kale_mean": "a mean",
    "recsys.simulate.novelty_seeking.NoveltySeeking.intent": "novelty may be worth less to those who seek it",
    "recsys.simulate.novelty_seeking.NoveltySeeking.persistence": "a correlation",
    "recsys.simulate.novelty_seeking.NoveltySeeking.taste": "far items may be liked",
}
"""Numbers that may be negative, and why."""
INFINITE = {"recsys.replay.actions.cressie_read.CressieRead.highest": "infinity stands for a largest weight unknown"}
"""Numbers that may be infinite, and why."""
MAY_BE_ZERO = {
    "recsys.data.datasets.session_rules.UserPart.part": "the first part",
    "recsys.systems.preference_alignment.PreferenceAlignment.warmup_steps": "no warm-up",
    "recsys.training.session_evaluation.SessionEvaluation.users": "no users are shown",
    "recsys.bench.policy_grid.PolicyGrid.processes": "one for each core",
    "recsys.bench.policy_grid.PolicyGrid.slot_draws": "no further draws",
    "recsys.bench.report.BenchReport.users": "no users are shown",
    "recsys.data.datasets.loader.PackedLoader.rank": "the first process",
    "recsys.data.datasets.preparation.SequencePreparation.k_core": "everybody stays",
    "recsys.data.datasets.preparation.SequencePreparation.min_rating": "ratings of any scale",
    "recsys.data.datasets.split.split_slates_by_steps.steps": "no slate trains",
    "recsys.items.balanced_kmeans.BalancedKMeans.iterations": "the centres that it begins with",
    "recsys.items.rq_vae.RqVae.epochs": "the weights that it begins with",
    "recsys.policies.marginal_relevance.MaximalMarginalRelevance.window": "the history does not count",
    "recsys.models.slates.slate_model.SlateModel.from_log.slots": "those of the log",
    "recsys.runs.tokenize.Tokenize.least_interactions": "all items are fitted",
    "recsys.simulate.novelty_seeking.NoveltySeeking.initial": "users come without a history",
    "recsys.systems.group_policy_optimisation.GroupPolicyOptimisation.warmup_steps": "no warm-up",
    "recsys.systems.supervised.SupervisedSystem.warmup_steps": "no warm-up",
    "recsys.training.report_cards.RecommendationCards.users": "no users are shown",
    "recsys.training.report_cards.SlateCards.users": "no users are shown",
}
"""Whole numbers that may be 0, and why; seeds may as well."""
OF_THE_TRAINER = {"train trainer.devices"}
"""Numbers that a check of their own refuses: `recsys.training.trainer_options.check_devices`."""


@pytest.fixture(scope="module")
def walked() -> dict[str, dict[str, Any]]:
    """What is said of each wrong value of each number of the configuration, found by walking it."""
    command = [sys.executable, "-m", "tests.number_walk"]
    root = Path(__file__).parents[1]
    found = subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    return json.loads(found.stdout)


def test_every_number_of_a_part_has_a_range(walked: dict[str, dict[str, Any]]) -> None:
    accepted = {
        f"{place}: {kind}"
        for place, said in walked["arguments"].items()
        for kind, message in said.items()
        if message is None and not _allowed(place, kind, whole=said["nan"] == "refused by its type")
    }
    assert not accepted, "no range is known: refuse the value with recsys.ranges, or list it here with a reason"
    assert len(walked["arguments"]) > 190


def _allowed(place: str, kind: str, whole: bool) -> bool:
    """Whether a wrong value is none for a number: floats have no memory to fill, and many may be 0."""
    if kind == "zero":
        return not whole or place.endswith(".seed") or place in MAY_BE_ZERO
    if kind == "huge":
        return not whole
    return (kind == "negative" and place in ANY_SIGN) or (kind == "infinite" and place in INFINITE)


def test_nothing_is_listed_that_is_no_number(walked: dict[str, dict[str, Any]]) -> None:
    assert {*ANY_SIGN, *INFINITE, *MAY_BE_ZERO} <= set(walked["arguments"])


def test_a_number_that_one_key_writes_and_another_reads_is_refused(walked: dict[str, dict[str, Any]]) -> None:
    keys = walked["keys"]
    assert {key for key, message in keys.items() if message is None} == OF_THE_TRAINER
    assert keys["train dropout"] == "network: dropout=nan: expected in [0, 1) (it reads dropout)"
    assert keys["train train.rere.system.objective.weights.reward"].startswith(
        "train.rere.system.objective: weights.reward="
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainer.devices=99999", "trainer.devices=99999: expected at most"),
        ("trainer.devices=0", "trainer.devices=0: expected at least 1"),
        ("trainer.accelerator=toaster", "trainer.accelerator=toaster: known: "),
        pytest.param(
            "trainer.accelerator=gpu",
            "trainer.accelerator=gpu: this machine has no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="it has one"),
        ),
        ("seed=-1", "seed=-1: expected a seed in [0, 4294967295]"),
        ("optimizer.lr=inf", "optimizer: lr=inf: expected at least 0"),
        ("schedule.max_epochs=0", "schedule: max_epochs=0: expected at least 1"),
        ("train.rere.system.sampler.candidates=0", "train.rere.system.sampler: candidates=0: expected at least 1"),
    ],
)
def test_a_wrong_number_of_a_training_is_one_sentence_before_anything_runs(
    override: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "experiment=rere/movielens_100k", f"root={tmp_path}", override]) == REFUSED
    shown = capsys.readouterr().err
    assert said in shown and "Traceback" not in shown
    assert not list(tmp_path.iterdir())


def test_a_model_of_scikit_learn_says_its_range() -> None:
    config = compose(["estimator=[dm]", "model=logistic", "model.make.C=-1"], "replay")
    with pytest.raises(ConfigurationError, match=r"model\.make: C=-1: The 'C' parameter .* range \(0\.0, inf\]"):
        validate(config)
