from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from omegaconf import OmegaConf

from recsys.errors import ConfigurationError
from recsys.train.arms import arm_folder
from recsys.train.parts import arms_read, item_vectors, reading, trained_policy
from recsys.train.run_folder import RunFolder
from recsys.train.stages.prepare import load_dataset
from recsys.train.stages.tokenize import load_bundle
from tests.train.arms import ADAM, SASREC, arm_of

Train = Callable[..., RunFolder]


def scored_by(arm: str) -> dict[str, object]:
    """A reward stage that asks another arm."""
    reward = {
        "_target_": "recsys.rewards.collaborative.Collaborative",
        "scorer": {"_target_": "recsys.train.parts.trained_policy", "arm": arm},
    }
    return {
        "_target_": "recsys.systems.rere.ReRe",
        "rollout": {"_target_": "recsys.systems.rollout.Beam", "candidates": 3},
        "reward": reward,
        "objective": {"_target_": "recsys.objectives.grpo.grpo", "_partial_": True},
        "optimizer": ADAM,
    }


def test_vectors_and_policies_are_those_of_the_run(train: Train) -> None:
    run = train({"sasrec": arm_of(network=SASREC)})
    with reading(run):
        vectors, policy = item_vectors(), trained_policy("sasrec")
    assert torch.equal(vectors, load_bundle(run).vectors)
    assert not policy.network.training
    assert not any(parameter.requires_grad for parameter in policy.parameters())
    test = load_dataset(run).test
    total = policy.catalogue_log_prob(test.without_target()).exp().sum(1)
    torch.testing.assert_close(total, torch.ones(len(test)))


def test_there_is_nothing_to_read_outside_of_a_run() -> None:
    for part in (item_vectors, lambda: trained_policy("sasrec")):
        with pytest.raises(ConfigurationError, match="there is no run here"):
            part()


def test_an_arm_that_was_not_trained_is_named(train: Train) -> None:
    run = train({"sft": arm_of()})
    with reading(run), pytest.raises(ConfigurationError, match=r"'sasrec'.*there are sft"):
        trained_policy("sasrec")


def test_the_arms_read_are_found_wherever_they_stand() -> None:
    node = OmegaConf.create({"system": scored_by("a"), "list": [1, {"deep": scored_by("b")}], "start": "c"})
    assert arms_read(node) == ["a", "b"]


def test_an_arm_is_trained_anew_where_the_one_it_reads_changed(train: Train) -> None:
    def rewarded() -> int:
        train({"rewarded": arm_of(network=None, start="sft", system=scored_by("sasrec"))}, name="rl")
        return (arm_folder(run, "rewarded") / "network.safetensors").stat().st_mtime_ns

    run = train({"sft": arm_of(), "sasrec": arm_of(network=SASREC)})
    first = rewarded()
    assert rewarded() == first
    train({"sft": arm_of(), "sasrec": arm_of(network=SASREC, epochs=2)})
    assert rewarded() > first
