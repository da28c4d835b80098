"""The whole of `recsys bench`, small: composed as on the command line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from recsys.bench.comparison import BenchRun, FailedBenchRuns, compare
from recsys.bench.grid import Configured, KeptRun
from recsys.bench.report import BenchReport
from recsys.cli.main import main
from recsys.config.compose import compose
from recsys.config.folders import configuration_folder
from recsys.config.signature import locate
from recsys.config.validate import validate
from recsys.errors import ConfigurationError, ContractError
from recsys.nn.affinity import inner_product, negative_distance
from recsys.policies.bandits.greedy import UniformPolicy
from recsys.rollouts.episode import EpisodeConfig
from recsys.runs.fingerprint import mark_result
from recsys.runs.run import run_stages
from recsys.runs.run_folder import RunFolder
from recsys.simulate.interest_evolution import InterestEvolution
from tests.bench.fakes import FirstItems, Twice

CONF = configuration_folder()
SIMULATORS = sorted(
    str(path.relative_to(CONF / "simulator").with_suffix("")) for path in CONF.glob("simulator/**/*.yaml")
)
POLICIES = sorted(path.stem for path in CONF.glob("policy/*.yaml") if ": ???" not in path.read_text())
"""Those that need no value of their user; `checkpoint` and `trained`, which need a run, play in other tests."""
OVER_A_SLATE_MODEL = {name for name in POLICIES if name.startswith("model_")}
QUICK = ("log=true", "slots=3", "limit=4", "learner.steps=2")


def lacks(simulator: str) -> set[str]:
    """The keys of what policies learn from that a simulator has nothing for."""
    config = compose([f"simulator={simulator}", "policy=[random]"], "bench")
    return {key for key in config.provides if config[key] is None}


def needs(policy: str) -> set[str]:
    """The keys that the file of a policy reads."""
    composed = compose([f"policy=[{policy}]"], "bench").policies
    return set(re.findall(r"\$\{(\w+)\}", OmegaConf.to_yaml(composed)))


WITHOUT_ITEMS = [simulator for simulator in SIMULATORS if "item_vectors" in lacks(simulator)]


@pytest.fixture(autouse=True)
def here(played_here: None) -> None: ...


def playable(simulator: str) -> list[str]:
    """The policies that a simulator has what they need for."""
    return [name for name in POLICIES if not needs(name) & lacks(simulator)]


def small(folder: Path, *overrides: str) -> DictConfig:
    config = compose([f"root={folder}", "limit=6", "processes=1", *overrides], "bench")
    OmegaConf.set_struct(config, False)
    return config


def figures(folder: Path) -> dict:
    """What does not depend on the clock."""
    rows = json.loads((folder / "metrics.json").read_text())
    return {row: {name: cell for name, cell in cells.items() if name != "latency"} for row, cells in rows.items()}


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_every_simulator_plays_every_policy(simulator: str, tmp_path: Path) -> None:
    config = small(tmp_path, f"simulator={simulator}", f"policy=[{','.join(playable(simulator))}]", *QUICK)
    result = run_stages(config)
    assert set(result.metrics) == {f"{config.simulator_name}/{policy}" for policy in playable(simulator)}
    assert {one.name for one in result.folder.iterdir() if one.name[0] != "."} == {
        *("config.yaml", "metrics.json", "metrics.parquet", "feedback.parquet", "report.html", "run.log", "stages")
    }
    for cells in result.metrics.values():
        low, value, high = (cells["reward"][name] for name in ("low", "value", "high"))
        assert low <= value <= high
        assert {"regret", "click_rate", "diversity", "coverage", "steps", "latency"} <= set(cells)
    users = pl.read_parquet(result.folder / "metrics.parquet")
    assert users.columns == ["user_id", "row", "metric", "seed", "value"]
    means = users.filter(pl.col("metric") == "reward").group_by("row").agg(pl.col("value").mean())
    for row, mean in means.iter_rows():
        assert mean == pytest.approx(result.metrics[row]["reward"]["value"])
    log = pl.read_parquet(result.folder / "feedback.parquet")
    assert set(log["policy"]) == set(playable(simulator))
    assert log["propensity"].is_between(0, 1 + 1e-6).all()
    page = (result.folder / "report.html").read_text()
    assert not re.search(r"(src|href)\s*=\s*[\"']?(https?:)?//", page), "the report loads nothing from a network"
    assert all(title in page for title in ("Results", "Over time", "Regret so far"))
    assert all(f"user 0, {policy}" in page for policy in BenchReport().shown if policy in playable(simulator))


def test_numbers_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    policies = "policy=[random,in_slate_thompson,oracle]"
    here = run_stages(small(tmp_path / "here", policies))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recsys.bench.grid.ProcessPoolExecutor", ProcessPoolExecutor)
        two = run_stages(small(tmp_path / "two", policies, "processes=2"))
    assert figures(here.folder) == figures(two.folder)


def test_runs_are_found_again_and_only_what_changed_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small(tmp_path, "policy=[random,epsilon_greedy,oracle]")
    first = run_stages(config)
    kept = {path: path.stat().st_mtime_ns for path in first.folder.glob("stages/play/*/*/record.pt")}
    assert len(kept) == 6
    config.run = str(first.folder)
    config.policies.epsilon_greedy.epsilon = 0.5
    capsys.readouterr()
    run_stages(config)
    assert "random, seed 0" not in capsys.readouterr().out
    changed = {path.parts[-3] for path, before in kept.items() if path.stat().st_mtime_ns != before}
    assert changed == {"epsilon_greedy"}
    del config.policies["epsilon_greedy"]
    assert set(run_stages(config).metrics) == {"interest/random", "interest/oracle"}
    assert not (first.folder / "stages" / "play" / "epsilon_greedy").exists()


def test_a_failing_run_is_named_and_takes_nothing_from_the_others(tmp_path: Path) -> None:
    config = small(tmp_path, "policy=[random,oracle]")
    config.policies.broken = {"_target_": "tests.bench.fakes.Failing", "num_items": 10}
    with pytest.raises(FailedBenchRuns, match="broken, seed 0: ValueError: this policy fails; broken, seed 1"):
        run_stages(config)
    [folder] = tmp_path.glob("bench/interest/*")
    assert set(RunFolder(folder).read_metrics()) == {"interest/random", "interest/oracle"}
    assert (folder / "stages" / "play" / "random" / "1" / "record.pt").exists()


def test_a_policy_that_breaks_its_contract_is_named_and_takes_nothing_from_the_others(tmp_path: Path) -> None:
    config = small(tmp_path, "policy=[random]")
    config.policies.twice = {"_target_": "tests.bench.fakes.Twice", "num_items": 10, "since": 2}
    said = r"twice, seed 0: step 2, user 0: the policy breaks its contract: the slate \[4, 4\] holds an item twice; twi"
    with pytest.raises(FailedBenchRuns, match=said):
        run_stages(config)
    [folder] = tmp_path.glob("bench/interest/*")
    assert set(RunFolder(folder).read_metrics()) == {"interest/random"}
    with pytest.raises(ContractError, match=r"twice, seed 0: step 2, user 0: the policy"):
        compare(InterestEvolution, {"twice": lambda: Twice(10, 2)}, users=3, steps=4, seeds=1)


def test_policies_draw_independently_and_meet_the_same_users() -> None:
    """Two uniform policies agree in one slot of ten, ± 0.012 in standard errors of 2,000 slots × 5."""
    both = compare(InterestEvolution, dict.fromkeys(("one", "other"), lambda: UniformPolicy(10)), 50, 20, seeds=1)
    one, other = (records[0] for records in both.records.values())
    agree = (one.items == other.items).float().mean().item()
    assert abs(agree - 0.1) < 5 * (0.1 * 0.9 / one.items.numel()) ** 0.5
    alone = compare(InterestEvolution, {"other": lambda: UniformPolicy(10)}, 50, 20, seeds=1)
    assert alone.records["other"][0].items.equal(other.items)
    assert alone.metrics["other"]["reward"] == both.metrics["other"]["reward"]
    same = compare(InterestEvolution, dict.fromkeys(("one", "other"), lambda: FirstItems(10)), 50, 20, seeds=1)
    assert same.records["one"][0].reward.equal(same.records["other"][0].reward)


def test_what_a_policy_draws_while_it_is_made_is_its_own_and_the_simulators_is_common() -> None:
    made: dict[str, list[float]] = {"simulator": [], "policy": []}

    class Made(InterestEvolution):
        def __init__(self) -> None:
            super().__init__()
            made["simulator"].append(torch.rand(()).item())

    def policy() -> UniformPolicy:
        made["policy"].append(torch.rand(()).item())
        return UniformPolicy(10)

    compare(Made, {"one": policy, "other": policy}, 2, 1, seeds=1)
    assert made["simulator"][0] == made["simulator"][1]
    assert made["policy"][0] != made["policy"][1]


def test_ctrl_c_ends_the_bench_at_once_and_keeps_what_was_played(tmp_path: Path) -> None:
    """Twenty runs of which each would take a second; the second run interrupts the command."""
    policy = "+policies.slow={_target_: tests.bench.fakes.Interrupting, num_items: 10}"
    overrides = ["policy=[]", policy, "seeds=20", "users=2", "steps=2", "processes=1", f"root={tmp_path}"]
    command = [sys.executable, "-m", "recsys.cli.main", "bench", *overrides]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "BENCH": str(os.getpid())}
    )
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted; to go on: recsys bench" in errors and "Traceback" not in errors
    assert len(list(tmp_path.glob("bench/interest/*/stages/play/slow/*/record.pt"))) == 1
    assert not list(tmp_path.glob("**/*.aside"))


def test_a_policy_from_outside_the_package_plays(tmp_path: Path) -> None:
    config = small(tmp_path, "policy=[random]")
    config.policies.mine = {"_target_": "tests.bench.fakes.FirstItems", "num_items": 10}
    assert "interest/mine" in run_stages(config).metrics


def test_wrong_requests_are_refused_before_anything_is_played(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="policy=gredy: there is no such policy; did you mean 'greedy'"):
        small(tmp_path, "policy=[gredy]")
    with pytest.raises(ConfigurationError, match="policy=arms: there is no such policy; did you mean 'bernoulli_thom"):
        small(tmp_path, "policy=[arms]", "policies.arms.posterior.clicks=2")
    with pytest.raises(ConfigurationError, match=r"policies.epsilon_greedy.epsilom: .*did you mean 'epsilon'"):
        run_stages(small(tmp_path, "policy=[epsilon_greedy]", "+policies.epsilon_greedy.epsilom=0.2"))
    with pytest.raises(ConfigurationError, match="policy: none is configured"):
        config = small(tmp_path, "policy=[random]")
        config.policies = {}
        run_stages(config)
    assert not list(tmp_path.glob("**/record.pt"))


@pytest.mark.parametrize("simulator", WITHOUT_ITEMS)
def test_a_slate_model_is_refused_where_items_are_places_among_candidates(simulator: str, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"policies\.model_greedy\.\S+: it reads item_vectors, which is null here"
    ):
        run_stages(small(tmp_path, f"simulator={simulator}", "policy=[random,model_greedy]"))
    assert not list(tmp_path.glob("**/record.pt"))


@pytest.mark.parametrize("policy", sorted(OVER_A_SLATE_MODEL))
def test_how_slate_models_learn_is_told_to_all_of_them(policy: str) -> None:
    config = compose(["simulator=slate/planted", f"policy=[{policy}]"], "bench")
    plain = OmegaConf.to_container(config.policies, resolve=True)
    changes = {
        **{"lr": 0.5, "steps": 1, "users": 2, "initial_states": 1, "pool": 7, "temperature": 0.1, "width": 3},
        **{"centre": 2.0, "scale": 2.0, "initial_deviation": 2.0},
    }
    for option, value in changes.items():
        told = config.copy()
        told.learner[option] = value
        assert OmegaConf.to_container(told.policies, resolve=True) != plain, option


def test_the_slate_model_of_a_simulator_of_inner_products_has_them() -> None:
    made = {
        simulator: instantiate(
            compose([f"simulator=slate/{simulator}", "policy=model_greedy"], "bench").policies.model_greedy
        )
        for simulator in ("planted", "bubble")
    }
    assert made["planted"].scorer.model.affinity is negative_distance
    assert made["bubble"].scorer.model.affinity is inner_product


def test_what_it_offers_may_stay_unread_and_other_keys_may_not() -> None:
    validate(compose(["policy=[random,oracle]"], "bench"))
    with pytest.raises(ConfigurationError, match="lonely: nothing reads this key"):
        validate(compose(["policy=[random,oracle]", "+lonely=1"], "bench"))


def test_a_runs_fingerprint_depends_on_all_that_its_record_depends_on(tmp_path: Path) -> None:
    run = BenchRun("random", 0, Configured({"a": 1}), Configured({"b": 1}), EpisodeConfig(2, 3, 4))
    others = [
        replace(run, seed=1),
        replace(run, policy="other"),
        replace(run, make_simulator=Configured({"a": 2})),
        replace(run, make_policy=Configured({"b": 2})),
        replace(run, slot_draws=1),
        *(replace(run, episode=EpisodeConfig(*sizes)) for sizes in ((3, 3, 4), (2, 4, 4), (2, 3, 5))),
    ]
    assert len({KeptRun(one, tmp_path).fingerprint for one in [run, *others]}) == 9


def test_a_policy_that_ends_the_program_is_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    given = "+policies.leaving={_target_: tests.bench.fakes.Leaving, num_items: 10}"
    assert main(["bench", "policy=[random]", given, "limit=4"]) == 2
    assert "policies.leaving: it called sys.exit(0)" in capsys.readouterr().err


def test_a_reference_that_is_mistyped_is_refused_and_one_that_is_left_out_is_not() -> None:
    def check(policies: str, references: str) -> None:
        config = compose([f"policy={policies}", f"references={references}"], "bench")
        stage = config.stage.play
        locate("stage", stage._target_).check_configuration(stage, config)

    check("[greedy,oracle]", "[random]")
    with pytest.raises(ConfigurationError, match="references: there is no 'rndom'; did you mean 'random'"):
        check("[random,oracle]", "[rndom]")


def test_a_line_through_a_mistyped_policy_is_refused_and_through_one_that_is_left_out_is_not() -> None:
    def check(line: str) -> None:
        config = compose(["policy=[random,greedy,oracle]", f"+lines.best={line}"], "bench")
        stage = config.stage.report
        locate("stage", stage._target_).check_configuration(stage, config)

    check("[greedy,linucb]")
    with pytest.raises(ConfigurationError, match=r"lines\.best: there is no 'gredy'; did you mean 'greedy'"):
        check("[gredy,oracle]")


NOVELTY = "simulator=slate/novelty"


def test_the_threshold_of_novelty_changes_figures_and_what_was_played_stays(tmp_path: Path) -> None:
    config = small(tmp_path, NOVELTY, "policy=[random]", "novelty_threshold=0")
    first = run_stages(config)
    kept = {path: path.stat().st_mtime_ns for path in first.folder.glob("stages/play/*/*/record.pt")}
    config.run, config.novelty_threshold = str(first.folder), 3
    second = run_stages(config)
    assert all(path.stat().st_mtime_ns == before for path, before in kept.items()) and kept
    before, after = (one.metrics["novelty/random"] for one in (first, second))
    assert before["serendipity"] == before["click_rate"] and after["serendipity"]["value"] == 0
    assert before["novelty"] == after["novelty"]
    users = pl.read_parquet(second.folder / "metrics.parquet")
    assert users.filter(pl.col("metric") == "serendipity")["value"].to_list() == [0.0] * 12


def test_only_simulators_that_tell_novelty_have_its_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for simulator, there in ((NOVELTY, True), ("simulator=slate/planted", False)):
        given = ["bench", simulator, "policy=[random,greedy]", "+lines.both=[random,greedy]", "limit=4", "processes=1"]
        assert main([*given, f"root={tmp_path}"]) == 0
        shown = capsys.readouterr().out
        assert ("novelty  serendipity" in shown) == there and "correlation" not in shown
        page = (Path(shown.splitlines()[-1]) / "report.html").read_text()
        assert ("serendipity</th>" in page) == there
        assert f"over {'novelty' if there else 'diversity'}</figcaption>" in page
        assert "both: random, greedy." in page


def test_an_intent_is_compared_with_that_of_the_users(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = "+policies.two={_target_: tests.bench.fakes.two_levels, simulator: ${simulator}}"
    command = ["bench", NOVELTY, "policy=[random]", given, "limit=8", "processes=1", f"root={tmp_path}"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "intent correlation" in shown
    folder = Path(shown.splitlines()[-1])
    cells = RunFolder(folder).read_metrics()
    assert "intent_correlation" not in cells["novelty/random"]
    found = cells["novelty/two"]["intent_correlation"]
    low, value, high = (found[name] for name in ("low", "value", "high"))
    assert low is not None and value is not None and high is not None and -1 <= low < value < high <= 1
    assert "intent correlation</th>" in (folder / "report.html").read_text()
    assert "intent_correlation" not in set(pl.read_parquet(folder / "metrics.parquet")["metric"])


def test_a_record_of_an_earlier_version_is_read_and_played_again(tmp_path: Path) -> None:
    """It lacks novelty, latent actions and truth."""
    config = small(tmp_path, NOVELTY, "policy=[random]")
    first = run_stages(config)
    [path, *_] = sorted(first.folder.glob("stages/play/random/*/record.pt"))
    parts = torch.load(path, weights_only=True)
    torch.save({name: parts[name] for name in list(parts)[:7]}, path)
    mark_result(path.parent, "earlier")
    make = Configured.of(config.simulator), Configured.of(config.policies.random)
    kept = KeptRun(BenchRun("random", 0, *make, EpisodeConfig(6, 6, 2)), path.parent)
    record = kept.read()
    assert record.novelty is None and record.truth == record.latents == {} and not kept.done
    config.run = str(first.folder)
    assert figures(run_stages(config).folder)["novelty/random"]["novelty"]["value"] > 0
    assert "novelty" in torch.load(path, weights_only=True)


def test_foreign_folders_among_the_records_stay(tmp_path: Path) -> None:
    given = ["bench", "policy=[random]", "users=4", "steps=2", "seeds=1", "processes=1", f"run={tmp_path / 'run'}"]
    assert main(given) == 0
    mine = tmp_path / "run" / "stages" / "play" / "mine" / "data" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert main([*given[:3], "steps=3", *given[4:]]) == 0
    assert mine.read_text() == "mine"
