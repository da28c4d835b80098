from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recsys.atomic import write_json
from recsys.policies.baselines.markov_chain import MarkovChain
from recsys.policies.baselines.popularity import PopularityPolicy
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from recsys.training.evaluate import Evaluate
from recsys.training.ranking_evaluation import RankingEvaluation
from recsys.training.report import Report, ReportSection
from recsys.training.report_cards import RecommendationCards
from recsys.training.report_sections import (
    Configuration,
    LearningCurves,
    PairedDifferences,
    ResultsTable,
    RewardDiagnostics,
    TradeOff,
)
from tests.training.trainings import ADAM, going_on, training_of

Train = Callable[..., RunFolder]
RERE = {
    "_target_": "recsys.systems.group_policy_optimisation.GroupPolicyOptimisation",
    "sampler": {"_target_": "recsys.systems.group_sampling.BeamSampler", "candidates": 4},
    "reward": {"_target_": "recsys.rewards.reward.HitReward"},
    "objective": {"_target_": "recsys.objectives.group_relative.grpo", "_partial_": True},
    "optimizer": ADAM,
}


@pytest.fixture
def page(train: Train) -> Callable[..., str]:
    """The report of a run with a training and, if asked for, a rewarded one."""

    def make(rewarded: bool = True, **options: int) -> str:
        more = {"rere": going_on("sft", system=RERE)} if rewarded else {}
        run = train({"sft": training_of(), **more})
        baselines = {"popularity": PopularityPolicy, "markov": MarkovChain}
        Evaluate(RankingEvaluation(baselines, references=["sft"])).run(run)
        OmegaConf.save(OmegaConf.create({"name": "tiny", "seed": 4}), run.config)
        sections: dict[str, ReportSection] = {
            "results": ResultsTable(["ndcg@10", "absent"], {"markov": "Markov chain"}),
            "differences": PairedDifferences("ndcg@10", "NDCG@10", ["sft"]),
            "curves": LearningCurves(),
            "reward": RewardDiagnostics(),
            "cards": RecommendationCards(**options),
            "configuration": Configuration(),
        }
        stage = Report(sections)
        assert isinstance(stage, Stage)
        stage.run(run)
        return Path(run.report).read_text()

    return make


def test_the_page_has_curves_table_differences_and_users(page: Callable[..., str]) -> None:
    text = page(users=3)
    for title in ("Results", "Paired differences", "Learning curves", "Reward diagnostics", "What users would see"):
        assert title in text
    for shown in ("NDCG@10 against sft", "validation/ndcg@10", "reward_mean", "clip_fraction", "Markov chain", "rere"):
        assert shown in text, shown
    assert text.count("user u") == 3
    assert "Tale " in text
    assert "seed: 4" in text, "the configuration is folded in"


def test_users_are_chosen_by_the_seed(page: Callable[..., str]) -> None:
    texts = [page(users=2, seed=seed, rewarded=False) for seed in (0, 0, 1)]
    chosen = [tuple(part[:4] for part in text.split("user u")[1:]) for text in texts]
    assert chosen[0] == chosen[1] != chosen[2]


def test_without_a_reward_it_says_so(page: Callable[..., str]) -> None:
    assert "No training of this run had a reward." in page(rewarded=False)


def test_columns_of_any_ending_are_shown_once_and_in_order(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    cell = {"value": 0.5, "low": 0.4, "high": 0.6}
    names = ["mood_correlation", "steps", "intent_correlation", "reward"]
    write_json(run.metrics, {"a": dict.fromkeys(names[:2], cell), "b": dict.fromkeys(names, cell)})
    body = ResultsTable(["reward", "*_correlation", "absent", "intent_correlation", "steps"]).section(run).body
    heads = [part.rpartition(">")[2] for part in body.partition("</thead>")[0].split("</th>")[:-1]]
    assert heads == ["reward", "mood_correlation", "intent_correlation", "steps"]


def test_the_trade_off_has_the_names_and_lines_that_are_given(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    both = {name: {"value": 0.5, "low": 0.4, "high": 0.6} for name in ("reward", "diversity")}
    write_json(run.metrics, {"a": both, "b": both})
    section = TradeOff({"two": ["b", "a"]}, {"b": "the better"}, "said above").section(run)
    assert section.lead == "said above" and "two: the better, a." in section.body and "over diversity" in section.body
