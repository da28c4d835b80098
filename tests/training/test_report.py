from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recsys.policies.baselines.markov_chain import MarkovChain
from recsys.policies.baselines.popularity import PopularityPolicy
from recsys.runs.run import Stage
from recsys.runs.run_folder import RunFolder
from recsys.training.evaluate import Evaluate
from recsys.training.report import Report
from tests.training.arms import ADAM, arm_of

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
    """The report of a run with an arm and, if asked for, a rewarded one."""

    def make(rewarded: bool = True, **options: int) -> str:
        run = train({"sft": arm_of()})
        if rewarded:
            train({"rere": arm_of(network=None, start="sft", system=RERE)}, name="rl")
        Evaluate({"popularity": PopularityPolicy, "markov": MarkovChain}, references=["sft"]).run(run)
        config = {"name": "tiny", "seed": 4, "stage": {"evaluate": {"references": ["sft"]}}}
        OmegaConf.save(OmegaConf.create(config), run.config)
        stage = Report(**options)
        assert isinstance(stage, Stage)
        stage.run(run)
        return Path(run.report).read_text()

    return make


def test_the_page_has_curves_table_differences_and_users(page: Callable[..., str]) -> None:
    text = page(users=3)
    for title in ("Results", "Paired differences", "Learning curves", "Reward and health", "What users would see"):
        assert title in text
    for shown in ("NDCG@10 against sft", "validation/ndcg@10", "reward_mean", "clip_fraction", "Markov counts", "rere"):
        assert shown in text, shown
    assert text.count("user u") == 3
    assert "Tale " in text
    assert "seed: 4" in text, "the configuration is folded in"


def test_users_are_chosen_by_the_seed(page: Callable[..., str]) -> None:
    texts = [page(users=2, seed=seed, rewarded=False) for seed in (0, 0, 1)]
    chosen = [tuple(part[:4] for part in text.split("user u")[1:]) for text in texts]
    assert chosen[0] == chosen[1] != chosen[2]


def test_without_a_reward_stage_it_says_so(page: Callable[..., str]) -> None:
    assert "No stage of this run was trained with reward." in page(rewarded=False)
