"""Numbers outside their range are refused where a part is configured, with its key, exit code 2 and one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from recsys.cli.main import REFUSED, main
from recsys.config.compose import compose
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
    ("limit=0", [], "limit: expected at least 1"),
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
    assert said in shown and "Traceback" not in shown and len(shown.splitlines()) == 1
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
@pytest.mark.parametrize("network", ["causal", "sasrec", "encoder_decoder"])
def test_a_wrong_number_of_a_network_is_named(network: str, values: dict[str, float], said: str) -> None:
    bundle = tiny_bundle()
    target = compose(["experiment=rere/movielens_100k", f"network={network}"])["network"]["_target_"]
    with pytest.raises(ConfigurationError) as refused:
        make({"_target_": target, **values}, bundle, key="network")
    assert said in str(refused.value)
